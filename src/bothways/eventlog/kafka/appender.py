"""Appending from a thread: an idempotent producer, and the number up to which the brokers have confirmed all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Report

from bothways.eventlog.kafka import options as settings
from bothways.eventlog.kafka.errors import Trouble, reason, translated
from bothways.eventlog.kafka.sizes import Sizes
from bothways.model.errors import BothwaysError, Unavailable
from bothways.ports import Message

Headers = list[tuple[str, str | bytes | None]]

_SERVE_EVERY = 256
"""Appends between two looks for delivery reports."""

_DRAIN_SECONDS = 2.0
"""As long as appends never pause, everything under way is waited for that often, so that ``durable`` gets on."""
_DRAIN_AT_MOST_SECONDS = 0.5

APPENDING = "appending to the log"

LINGER_MS = 20
"""Whoever appends as fast as it can gets large batches, which cost the broker less than half of what small ones do;
``flush`` lets nothing linger."""


_OWN = {"linger.ms": str(LINGER_MS)}

_WHOLE = {
    # librdkafka gives up a message after a time, and goes on with those that came after it. Who reads back what the log
    # has would then take the gap for done. So nothing is given up: an outage is sat out, however long.
    "message.timeout.ms": "0",
    # One that a broker refuses stops the producer, for the same reason.
    "enable.gapless.guarantee": "true",
}
_SAME_AS_WHOLE = frozenset({"delivery.timeout.ms", *_WHOLE})


class KafkaAppender:
    """Messages are numbered as they come, and known to be durable once none of them is under way.

    librdkafka counts what is under way, a failed message included until its report has been served. Only failures are
    reported: to report each success costs half as much as to append. ``durable`` therefore stands still while appends
    follow each other without a pause, for ``_DRAIN_SECONDS`` at most. Every call raises what made a message fail for
    good. Nothing fails because brokers are away: it waits, and so does whoever appends once the buffer is full.
    """

    def __init__(self, servers: str, options: Mapping[str, str], sizes: Sizes) -> None:
        trouble = Trouble(APPENDING, self.fail)
        self._sizes = sizes
        allowed = {name: value for name, value in options.items() if name not in _SAME_AS_WHOLE}
        config = settings.producing(servers, {**_OWN, **sizes.fitted(allowed), **_WHOLE}, trouble.note)
        config["delivery.report.only.error"] = True
        self._failure: BothwaysError | None = None
        self._abandoned = False
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise settings.unusable(error, options) from None
        self._produce = self._producer.produce
        self._appended = 0
        self._durable = 0
        self._drained_at = time.monotonic()

    @property
    def large_bytes(self) -> int:
        return self._sizes.large_bytes

    def append(self, message: Message) -> int:
        self._sizes.check(message)
        # The hot path of capture: what can be looked up once is, and nothing is called that need not be.
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                self._produce(
                    message.topic,
                    message.value,
                    message.key,
                    -1 if message.key is not None else 0,
                    self._report,
                    headers=list(message.headers),
                )
            except BufferError:
                self._poll(0.05)
            except KafkaException as error:
                raise translated(reason(error), APPENDING) from None
            else:
                break
        self._appended = number = self._appended + 1
        if not number % _SERVE_EVERY:
            self._serve(0)
        return number

    def append_many(self, messages: Sequence[tuple[str, bytes | None, bytes | None, Headers]]) -> int:
        """As ``append`` for each (topic, key, value, headers) in turn; returns the last one's number.

        For whoever appends a hundred thousand a second: no object per message, and positional arguments, which are a
        fifth of what librdkafka's ``produce`` takes.
        """
        done = 0
        while done < len(messages):
            if self._failure is not None:
                raise self._failure
            step = min(len(messages) - done, _SERVE_EVERY)
            added = self._produce_some(messages[done : done + step])
            done += added
            self._appended += added
            self._serve(0 if added == step else 0.05)
        return self._appended

    def durable(self) -> int:
        self._poll(0)
        return self._count()

    def flush(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self._count() < self._appended and (left := deadline - time.monotonic()) > 0:
            self._flush(min(left, 0.2))
        return self.durable()

    def abandon(self, timeout: float) -> bool:
        self.fail(Unavailable("the appender was given up"))
        if not self._abandoned:
            self._abandoned = True
            self._producer.purge(in_flight=False)
        return self._flush(timeout) == 0

    def close(self) -> None:
        self._producer.purge(blocking=False)
        self._poll(0)
        self.fail(Unavailable("the appender is closed"))

    def fail(self, error: BothwaysError) -> None:
        """Nothing more becomes durable."""
        self._failure = self._failure or error

    def _produce_some(self, messages: Sequence[tuple[str, bytes | None, bytes | None, Headers]]) -> int:
        """How many of them were taken: fewer than all when librdkafka's buffer is full, or one is refused."""
        produce, report, count = self._produce, self._report, 0
        try:
            for topic, key, value, headers in messages:
                produce(topic, value, key, 0 if key is None else -1, report, None, 0, headers)
                count += 1
        except BufferError:
            pass
        except KafkaException as error:
            # Those before it count; it will be the first of the next step, and refused again.
            if not count:
                raise translated(reason(error), APPENDING) from None
        return count

    def _serve(self, seconds: float) -> None:
        self._poll(seconds)
        if time.monotonic() - self._drained_at > _DRAIN_SECONDS:
            self._flush(_DRAIN_AT_MOST_SECONDS)
            self._count()
            self._drained_at = time.monotonic()

    def _poll(self, seconds: float) -> None:
        """Serve what is reported; librdkafka raises here, too, what stops the producer for good."""
        try:
            self._producer.poll(seconds)
        except KafkaException as error:
            self.fail(translated(reason(error), APPENDING))

    def _flush(self, seconds: float) -> int:
        """Wait for what is under way; how much still is."""
        try:
            return self._producer.flush(seconds)
        except KafkaException as error:
            self.fail(translated(reason(error), APPENDING))
            return len(self._producer)

    def _count(self) -> int:
        # Before the failure is looked at: a message that failed is counted as under way until that has been told.
        under_way = len(self._producer)
        if self._failure is not None:
            raise self._failure
        if not under_way:
            self._durable = self._appended
            self._drained_at = time.monotonic()
        return self._durable

    def _report(self, error: KafkaError | None, message: Report) -> None:
        """librdkafka's delivery report of a message that failed."""
        if error is not None:
            self.fail(translated(error, f"{APPENDING}, {message.topic()}"))
