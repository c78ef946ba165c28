"""Appending from a thread: an idempotent producer, and the count of what the brokers have confirmed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Report

from bothways.eventlog.kafka import options as settings
from bothways.eventlog.kafka.errors import Trouble, reason, translated
from bothways.model.errors import BothwaysError, Unavailable
from bothways.ports import Message

_CHUNK = 512
_SERVE_EVERY = 128
"""Appends between two looks for delivery reports."""

APPENDING = "appending to the log"

MESSAGE_TIMEOUT_MS = 60_000
"""So long an outage is sat out; after it the appender fails, so that somebody hears of it."""


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
        config = settings.producing(servers, {"message.timeout.ms": str(MESSAGE_TIMEOUT_MS), **options}, trouble.note)
        self._failure: BothwaysError | None = None
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise settings.unusable(error, options) from None
        self._chunk = _Chunk(self)
        self._chunks = deque([self._chunk])
        self._appended = 0
        self._durable = 0

    def append(self, message: Message) -> int:
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                self._produce(message)
            except BufferError:
                self._producer.poll(0.05)
            except KafkaException as error:
                raise translated(reason(error), APPENDING) from None
            else:
                break
        self._appended += 1
        chunk = self._chunk
        chunk.appended += 1
        if chunk.appended == _CHUNK:
            self._next_chunk()
        if not self._appended % _SERVE_EVERY:
            self._producer.poll(0)
        return self._appended

    def durable(self) -> int:
        self._producer.poll(0)
        return self._count()

    def flush(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self._count() < self._appended and (left := deadline - time.monotonic()) > 0:
            self._producer.poll(min(left, 0.2))
        return self.durable()

    def close(self) -> None:
        self._producer.purge(blocking=False)
        self._producer.poll(0)
        self.fail(Unavailable("the appender is closed"))

    def fail(self, error: BothwaysError) -> None:
        """Nothing more becomes durable."""
        self._failure = self._failure or error

    def _produce(self, message: Message) -> None:
        if message.key is None:
            self._producer.produce(
                message.topic,
                message.value,
                partition=0,
                on_delivery=self._chunk.report,
                headers=list(message.headers),
            )
        else:
            self._producer.produce(
                message.topic, message.value, message.key, on_delivery=self._chunk.report, headers=list(message.headers)
            )

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
        self._chunk = _Chunk(self)
        self._chunks.append(self._chunk)
