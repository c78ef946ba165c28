"""One member of a consumer group. A thread polls librdkafka, which wants to be polled, and reads a little ahead."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka import Message as Record

from bothways.eventlog.kafka import options as settings
from bothways.eventlog.kafka.commits import Commits
from bothways.eventlog.kafka.errors import FORBIDDEN, Trouble, translated
from bothways.eventlog.kafka.records import delivered
from bothways.eventlog.loops import call_soon
from bothways.model.errors import BothwaysError
from bothways.ports import Delivered, Partition

_logger = structlog.get_logger(__name__)

_AHEAD_MESSAGES = 2_000
_AHEAD_BYTES = 16 * 1024 * 1024
_AT_ONCE = 500
_POLL_SECONDS = 0.1
_BUSY_POLL_SECONDS = 0.002
_BUSY_SECONDS = 1.0
"""So long after something was handed out its commit is expected: a poll is not interrupted, so it has to be short."""
_PATIENCE_SECONDS = 1.0
"""So long the thread waits for room before it pauses the partitions: pausing throws away what librdkafka holds, and
fetching it again takes a tenth of a second."""
_REVOKED_SECONDS = 2.0
"""So long a rebalance waits until the event loop has heard of it."""


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
        self._closing = False
        self._busy_until = 0.0
        self._all_paused = False
        self._commits = Commits(self._doing, self._ours)
        config = settings.consuming(servers, options, self._trouble.note, group)
        try:
            self._consumer = Consumer({**config, "on_commit": self._commits.answered})
        except KafkaException as error:
            raise settings.unusable(error, options) from None
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
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
        if any(partition in self._ours for partition in offsets):
            self._busy_until = time.monotonic() + _BUSY_SECONDS
            stored = self._commits.make(offsets)
            with self._changed:
                self._changed.notify_all()
            await stored

    async def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        await asyncio.to_thread(self._thread.join)

    # On the event loop.

    def _take(self, limit: int) -> list[Delivered]:
        with self._changed:
            found = [self._ahead.popleft() for _ in range(min(limit, len(self._ahead)))]
            if found:
                self._busy_until = time.monotonic() + _BUSY_SECONDS
                self._ahead_bytes -= sum(map(_size, found))
                self._changed.notify_all()
            return found

    # In the thread that polls.

    def _main(self) -> None:
        try:
            while not self._closing or (self._commits.busy and self._failure is None):
                self._commits.serve(self._consumer)
                if self._wait_for_room():
                    self._fetch(_AT_ONCE)
                elif self._commits.busy:
                    self._fetch(1)  # for the broker's answer; what comes with it is little
                else:
                    self._hold_still()
        except Exception as error:  # noqa: BLE001 -- handed to whoever polls
            self._failure = error
            call_soon(self._loop, self._news.set)
        finally:
            self._consumer.close()
            self._commits.close()

    def _fetch(self, limit: int) -> None:
        """Wait for a message, and take with it what has come meanwhile."""
        busy = self._commits.busy or time.monotonic() < self._busy_until
        first = self._consumer.poll(_BUSY_POLL_SECONDS if busy else _POLL_SECONDS)
        if first is None:
            return
        more = self._consumer.consume(limit - 1, 0) if limit > 1 else ()
        records = [first, *more]
        found = [delivered(record) for record in records if not self._is_error(record)]
        with self._changed:
            found = [each for each in found if (each.topic, each.partition) in self._ours]
            self._ahead.extend(found)
            self._ahead_bytes += sum(map(_size, found))
        if found:
            self._trouble.over()
            call_soon(self._loop, self._news.set)

    def _is_error(self, record: Record) -> bool:
        """Whether it is no message but an error; one that will not go away ends the consumer."""
        error = record.error()
        if error is None:
            return False
        if error.fatal() or error.code() in FORBIDDEN:
            raise translated(error, self._doing)
        _logger.warning("reading the log", error=error.name(), reason=error.str(), topic=record.topic())
        return True

    def _wait_for_room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() or self._commits.busy, _PATIENCE_SECONDS)
            return self._has_room()

    def _has_room(self, share: float = 1.0) -> bool:
        room = len(self._ahead) < _AHEAD_MESSAGES * share and self._ahead_bytes < _AHEAD_BYTES * share
        return room or self._closing

    def _hold_still(self) -> None:
        """Whoever reads is slow: poll for the group's sake only, until half of what was read ahead is taken."""
        self._all_paused = False
        while not self._has_room(0.5):
            if not self._all_paused:
                self._consumer.pause(self._consumer.assignment())
                self._all_paused = True
            self._commits.serve(self._consumer)
            self._fetch(_AT_ONCE)
        self._consumer.resume(self._consumer.assignment())

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._trouble.over()
        self._all_paused = False
        with self._changed:
            self._ours.update((each.topic, each.partition) for each in partitions)

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Taken away, or lost: nothing more of it is read or committed, and the event loop hears of it first."""
        gone = [(each.topic, each.partition) for each in partitions]
        with self._changed:
            self._ours.difference_update(gone)
            self._commits.forget(gone)
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

        if call_soon(self._loop, tell):
            heard.wait(_REVOKED_SECONDS)

    def _tell(self, _: BothwaysError) -> None:
        call_soon(self._loop, self._news.set)


def _size(message: Delivered) -> int:
    return len(message.value or b"")
