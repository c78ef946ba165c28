"""One member of a consumer group. A thread polls librdkafka, which wants to be polled, and reads a little ahead."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record

from bothways.eventlog.kafka import options as settings
from bothways.eventlog.kafka.errors import FORBIDDEN, Trouble, reason, translated
from bothways.eventlog.kafka.records import delivered
from bothways.model.errors import BothwaysError
from bothways.ports import Delivered, Partition

_logger = structlog.get_logger(__name__)

_AHEAD_MESSAGES = 2_000
_AHEAD_BYTES = 16 * 1024 * 1024
_AT_ONCE = 500
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 0.5
"""So long the thread waits for room before it pauses the partitions: pausing throws away what was fetched."""
_REVOKED_SECONDS = 2.0
"""So long a rebalance waits until the event loop has heard of it."""
_COMMIT_SECONDS = 10.0

_NOT_OURS = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._NO_OFFSET,
    }
)


class KafkaConsumer:
    """``Consumer`` over a group of Kafka's. What is read ahead of a partition that goes away is thrown away."""

    def __init__(
        self,
        servers: str,
        options: Mapping[str, str],
        group: str,
        topics: Sequence[str],
        revoked: Callable[[Sequence[Partition]], None],
    ) -> None:
        self._doing = f"reading the log as {group}"
        self._trouble = Trouble(self._doing, self._tell)
        self._loop = asyncio.get_running_loop()
        self._revoked = revoked
        self._news = asyncio.Event()
        self._changed = threading.Condition()
        self._ahead: deque[Delivered] = deque()
        self._ahead_bytes = 0
        self._ours: set[Partition] = set()
        self._failure: Exception | None = None
        self._leaving = False
        """No commit is tried again."""
        self._closing = False
        """The thread ends."""
        try:
            self._consumer = Consumer(settings.consuming(servers, options, self._trouble.note, group))
        except KafkaException as error:
            raise settings.unusable(error, options) from None
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        self._commits = ThreadPoolExecutor(1, "kafka-commit")
        self._thread = threading.Thread(target=self._main, name=f"kafka-{group}", daemon=True)
        self._thread.start()

    async def poll(self, limit: int, timeout: float) -> Sequence[Delivered]:
        deadline = self._loop.time() + timeout
        while True:
            self._news.clear()
            found = self._take(limit)
            if found:
                return found
            failure = self._failure or self._trouble.take()
            if failure is not None:
                raise failure
            left = deadline - self._loop.time()
            if left <= 0:
                return ()
            timer = self._loop.call_later(left, self._news.set)
            try:
                await self._news.wait()
            finally:
                timer.cancel()

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        with self._changed:
            ours = [
                TopicPartition(*partition, offset) for partition, offset in offsets.items() if partition in self._ours
            ]
        if ours:
            await self._loop.run_in_executor(self._commits, self._commit, ours)

    async def close(self) -> None:
        self._leaving = True
        await asyncio.to_thread(self._commits.shutdown)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        await asyncio.to_thread(self._thread.join)

    # On the event loop.

    def _take(self, limit: int) -> list[Delivered]:
        with self._changed:
            found = [self._ahead.popleft() for _ in range(min(limit, len(self._ahead)))]
            if found:
                self._ahead_bytes -= sum(map(_size, found))
                self._changed.notify_all()
            return found

    # In the thread that commits.

    def _commit(self, offsets: list[TopicPartition]) -> None:
        deadline = time.monotonic() + _COMMIT_SECONDS
        while True:
            try:
                results = self._consumer.commit(offsets=offsets, asynchronous=False)
                problems = [each.error for each in results if each.error is not None]
            except KafkaException as error:
                problems = [reason(error)]
            problem = next((each for each in problems if each.code() not in _NOT_OURS), None)
            if problem is None:
                return
            if problem.code() in FORBIDDEN or self._leaving or time.monotonic() > deadline:
                raise translated(problem, f"{self._doing}: committing")
            # A rebalance or a coordinator that moves: over in a moment.
            time.sleep(0.05)
            with self._changed:
                offsets = [each for each in offsets if (each.topic, each.partition) in self._ours]
            if not offsets:
                return

    # In the thread that polls.

    def _main(self) -> None:
        try:
            while not self._closing:
                if self._wait_for_room(_PATIENCE_SECONDS):
                    self._fetch()
                else:
                    self._hold_still()
        except Exception as error:  # noqa: BLE001 -- handed to whoever polls
            self._failure = error
            self._call(self._news.set)
        finally:
            self._consumer.close()

    def _fetch(self) -> None:
        """Wait for a message, and take with it what has come meanwhile."""
        first = self._consumer.poll(_POLL_SECONDS)
        if first is None:
            return
        records = [first, *self._consumer.consume(_AT_ONCE - 1, 0)]
        found = [delivered(record) for record in records if not self._is_error(record)]
        with self._changed:
            found = [each for each in found if (each.topic, each.partition) in self._ours]
            self._ahead.extend(found)
            self._ahead_bytes += sum(map(_size, found))
        if found:
            self._trouble.over()
            self._call(self._news.set)

    def _is_error(self, record: Record) -> bool:
        """Whether it is no message but an error; one that will not go away ends the consumer."""
        error = record.error()
        if error is None:
            return False
        if error.fatal() or error.code() in FORBIDDEN:
            raise translated(error, self._doing)
        _logger.warning("reading the log", error=error.name(), reason=error.str(), topic=record.topic())
        return True

    def _wait_for_room(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(self._has_room, seconds)

    def _has_room(self) -> bool:
        return self._closing or (len(self._ahead) < _AHEAD_MESSAGES and self._ahead_bytes < _AHEAD_BYTES)

    def _hold_still(self) -> None:
        """Nobody takes what there is: poll for the group's sake only, until somebody does."""
        paused = self._consumer.assignment()
        self._consumer.pause(paused)
        while not self._has_room():
            self._fetch()
        with self._changed:
            still = [each for each in paused if (each.topic, each.partition) in self._ours]
        self._consumer.resume(still)

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._trouble.over()
        with self._changed:
            self._ours.update((each.topic, each.partition) for each in partitions)

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Taken away, or lost: nothing more of it is read or committed, and the event loop hears of it first."""
        gone = [(each.topic, each.partition) for each in partitions]
        with self._changed:
            self._ours.difference_update(gone)
            self._ahead = deque(each for each in self._ahead if (each.topic, each.partition) in self._ours)
            self._ahead_bytes = sum(map(_size, self._ahead))
            if self._closing or not gone:
                return
        heard = threading.Event()

        def tell() -> None:
            try:
                self._revoked(gone)
            finally:
                heard.set()

        if self._call(tell):
            heard.wait(_REVOKED_SECONDS)

    def _tell(self, _: BothwaysError) -> None:
        self._call(self._news.set)

    def _call(self, function: Callable[[], None]) -> bool:
        """Have the event loop do something, unless it is gone."""
        if self._loop.is_closed():
            return False
        self._loop.call_soon_threadsafe(function)
        return True


def _size(message: Delivered) -> int:
    return len(message.value or b"")
