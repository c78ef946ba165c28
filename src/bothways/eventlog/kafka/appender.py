"""Appending from a thread: an idempotent producer, and the count of what the brokers have confirmed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Report

from bothways.eventlog.kafka import options as settings
from bothways.eventlog.kafka.errors import Trouble, reason, translated
from bothways.model.errors import BothwaysError, Unavailable
from bothways.ports import Message

Headers = list[tuple[str, str | bytes | None]]

_CHUNK = 256
"""Messages that are confirmed as a whole, and appends between two looks for delivery reports."""

APPENDING = "appending to the log"

MESSAGE_TIMEOUT_MS = 60_000
"""So long an outage is sat out; after it the appender fails, so that somebody hears of it."""

LINGER_MS = 5
"""Whoever appends as fast as it can gets large batches, which cost the broker less than half of what small ones do;
``flush`` lets nothing linger."""


_OWN = {"message.timeout.ms": str(MESSAGE_TIMEOUT_MS), "linger.ms": str(LINGER_MS)}


class _Chunk:
    """Messages in a row that are confirmed in any order. One object for many: there is one per message otherwise."""

    __slots__ = ("_owner", "appended", "delivered")

    def __init__(self, owner: KafkaAppender) -> None:
        self._owner = owner
        self.appended = 0
        self.delivered = 0

    def report(self, error: KafkaError | None, _: Report) -> None:
        """librdkafka's delivery report of one message."""
        if error is None:
            self.delivered += 1
        else:
            self._owner.fail(translated(error, APPENDING))


class KafkaAppender:
    """Messages are numbered as they come; what is durable is counted in chunks that are confirmed as a whole.

    Asking for ``durable`` ends a chunk, so the answer is exact whenever everything asked about has been confirmed, and
    never too high. Every call raises what made a message fail for good.
    """

    def __init__(self, servers: str, options: Mapping[str, str]) -> None:
        trouble = Trouble(APPENDING, self.fail)
        config = settings.producing(servers, {**_OWN, **options}, trouble.note)
        self._failure: BothwaysError | None = None
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise settings.unusable(error, options) from None
        self._produce = self._producer.produce
        self._chunks: deque[_Chunk] = deque()
        self._next_chunk()
        self._appended = 0
        self._durable = 0

    def append(self, message: Message) -> int:
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
                self._producer.poll(0.05)
            except KafkaException as error:
                raise translated(reason(error), APPENDING) from None
            else:
                break
        self._appended = number = self._appended + 1
        self._chunk.appended += 1
        if self._chunk.appended >= _CHUNK:
            self._next_chunk()
            self._producer.poll(0)
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
            step = min(len(messages) - done, _CHUNK - self._chunk.appended)
            added = self._produce_some(messages[done : done + step])
            done += added
            self._appended += added
            self._chunk.appended += added
            if self._chunk.appended >= _CHUNK:
                self._next_chunk()
            self._producer.poll(0 if added == step else 0.05)
        return self._appended

    def durable(self) -> int:
        self._producer.poll(0)
        return self._count()

    def flush(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self._count() < self._appended and (left := deadline - time.monotonic()) > 0:
            self._producer.flush(min(left, 0.2))
        return self.durable()

    def close(self) -> None:
        self._producer.purge(blocking=False)
        self._producer.poll(0)
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

    def _count(self) -> int:
        if self._failure is not None:
            raise self._failure
        if self._chunk.appended:
            self._next_chunk()
        chunks = self._chunks
        while len(chunks) > 1 and chunks[0].delivered == chunks[0].appended:
            self._durable += chunks.popleft().appended
        return self._durable

    def _next_chunk(self) -> None:
        self._chunk = chunk = _Chunk(self)
        self._report = chunk.report
        self._chunks.append(chunk)
