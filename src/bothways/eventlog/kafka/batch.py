"""Appending from the event loop: hand over, wait for the brokers' word."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Report

from bothways.eventlog.kafka import options as settings
from bothways.eventlog.kafka.appender import APPENDING
from bothways.eventlog.kafka.errors import Trouble, reason, translated
from bothways.eventlog.kafka.sizes import Sizes
from bothways.eventlog.loops import call_soon
from bothways.model.errors import BothwaysError, Unavailable
from bothways.ports import Message

MESSAGE_TIMEOUT_MS = 10_000
"""Whoever waits (a webhook's sender) is told after this that it may not have worked."""


class _Batch:
    """One call's messages; its future holds when all are reported on."""

    def __init__(self, size: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._left = size
        self._failure: BothwaysError | None = None

    def report(self, error: KafkaError | None, _: Report) -> None:
        """librdkafka's delivery report of one message, in the thread that serves them."""
        if error is not None:
            self._failure = self._failure or translated(error, APPENDING)
        self._left -= 1
        if not self._left:
            self._end()

    def fail(self, error: BothwaysError) -> None:
        """From any thread: do not wait any longer."""
        self._failure = self._failure or error
        self._end()

    def _end(self) -> None:
        call_soon(self._loop, self._finish)

    def _finish(self) -> None:
        if self.done.done():
            return
        if self._failure is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(self._failure)


class BatchProducer:
    """One producer for all that append from the event loop, with a thread that serves its delivery reports."""

    def __init__(self, servers: str, options: Mapping[str, str], sizes: Sizes) -> None:
        self._sizes = sizes
        self._trouble = Trouble(APPENDING, self._fail_all)
        self._waiting: set[_Batch] = set()
        config = settings.producing(
            servers, {"message.timeout.ms": str(MESSAGE_TIMEOUT_MS), **sizes.fitted(options)}, self._trouble.note
        )
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise settings.unusable(error, options) from None
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="kafka-reports", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Whether only a new producer gets over what happened."""
        return self._trouble.fatal

    async def append(self, messages: Sequence[Message]) -> None:
        """Return when all are durable. Raises ``Unavailable`` when that is not sure, ``Refused``, ``Forbidden``."""
        if not messages:
            return
        batch = _Batch(len(messages))
        self._waiting.add(batch)
        try:
            for message in messages:
                self._produce(message, batch)
            await batch.done
        finally:
            self._waiting.discard(batch)

    def close(self) -> None:
        """Wait a moment for what is under way, for whose end nobody waits any more. Blocks."""
        self._closed = True
        self._thread.join()
        self._producer.purge(in_flight=False, blocking=False)
        self._producer.flush(1.0)

    def _produce(self, message: Message, batch: _Batch) -> None:
        self._sizes.check(message)
        try:
            self._producer.produce(
                message.topic,
                message.value,
                message.key,
                0 if message.key is None else -1,
                on_delivery=batch.report,
                headers=list(message.headers),
            )
        except BufferError:
            raise Unavailable("the buffer for Kafka is full", hint="check that the brokers can be reached") from None
        except KafkaException as error:
            raise translated(reason(error), APPENDING) from None

    def _fail_all(self, error: BothwaysError) -> None:
        for batch in tuple(self._waiting):
            batch.fail(error)

    def _serve(self) -> None:
        while not self._closed:
            self._producer.poll(0.1)
