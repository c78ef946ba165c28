"""The log on Apache Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from bothways.eventlog.kafka import options as settings
from bothways.eventlog.kafka.appender import KafkaAppender
from bothways.eventlog.kafka.batch import BatchProducer
from bothways.eventlog.kafka.consumer import KafkaConsumer
from bothways.eventlog.kafka.doctor import examine
from bothways.eventlog.kafka.reading import EARLIEST, LATEST, Follower, Questions, last_messages
from bothways.eventlog.kafka.sizes import Sizes
from bothways.eventlog.kafka.topics import make_missing
from bothways.eventlog.murmur2 import partition_for
from bothways.model.errors import SettingsError
from bothways.model.finding import Finding
from bothways.ports import Delivered, Message, Partition, Topic

_FOLLOW_SECONDS = 0.2
_NEW_TOPICS_SECONDS = 5.0


class KafkaLog:
    """``Log`` and ``LogReading`` on Kafka. ``options`` are librdkafka's; nothing is asked of the brokers at first.

    Raises ``SettingsError`` for options that librdkafka does not know, or that would break what a log promises.
    """

    def __init__(self, servers: str, options: Mapping[str, str] | None = None) -> None:
        self._servers = servers
        self._options = settings.checked(options or {})
        self._questions = Questions(servers, self._options)
        self._partitions: Mapping[str, int] = {}
        self._sizes = Sizes()
        self._batches: BatchProducer | None = None

    async def ensure(self, topics: Sequence[Topic]) -> None:
        self._partitions = await asyncio.to_thread(make_missing, self._questions, topics)
        self._sizes = await asyncio.to_thread(self._questions.sizes, [topic.name for topic in topics])

    def appender(self, fence: str | None = None) -> KafkaAppender:  # noqa: ARG002 -- Kafka would need transactions
        self._sizes = self._questions.sizes(list(self._partitions))
        return KafkaAppender(self._servers, self._options, self._sizes)

    async def append(self, messages: Sequence[Message]) -> None:
        if self._batches is not None and self._batches.broken:
            broken, self._batches = self._batches, None
            await asyncio.to_thread(broken.close)
        if self._batches is None:
            self._batches = BatchProducer(self._servers, self._options, self._sizes)
        await self._batches.append(messages)

    def consumer(
        self, group: str, topics: Sequence[str], revoked: Callable[[Sequence[Partition]], None]
    ) -> KafkaConsumer:
        return KafkaConsumer(self._servers, self._options, group, topics, revoked)

    async def tails(self, topics: Sequence[str]) -> Mapping[Partition, Delivered]:
        def read() -> dict[Partition, Delivered]:
            follower = Follower(self._servers, self._options)
            try:
                return last_messages(self._questions, follower, topics)
            finally:
                follower.close()

        self._partitions = await asyncio.to_thread(self._questions.partitions)
        return await asyncio.to_thread(read)

    def partition_of(self, topic: str, key: bytes | None) -> int:
        """Counts the partitions as ``ensure`` or ``tails`` last saw them; asks them, and blocks, if neither did."""
        if topic not in self._partitions:
            self._partitions = self._questions.partitions()
        if topic not in self._partitions:
            raise SettingsError(f"there is no topic {topic}", hint="`bothways setup` makes it")
        return partition_for(key, self._partitions[topic])

    async def follow(self, topics: Sequence[str], *, from_start: bool) -> AsyncIterator[Delivered]:
        loop = asyncio.get_running_loop()
        # One thread, so that the consumer is closed after whatever it is doing when the iteration is given up.
        thread = ThreadPoolExecutor(1, "kafka-follow")
        follower = await loop.run_in_executor(thread, Follower, self._servers, self._options)
        try:
            positions = await loop.run_in_executor(thread, self._beginnings, topics, not from_start)
            await loop.run_in_executor(thread, follower.add, positions)
            look = loop.time() + _NEW_TOPICS_SECONDS
            while True:
                for message in await loop.run_in_executor(thread, follower.take, _FOLLOW_SECONDS):
                    yield message
                if loop.time() > look:
                    now = await loop.run_in_executor(thread, self._beginnings, topics, False)
                    new = {partition: None for partition in now if partition not in positions}
                    positions = {**positions, **new}
                    await loop.run_in_executor(thread, follower.add, new)
                    look = loop.time() + _NEW_TOPICS_SECONDS
        finally:
            thread.submit(follower.close)
            thread.shutdown(wait=False)

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        return await asyncio.to_thread(self._lag, group, topics)

    async def examine(self, topics: Sequence[Topic]) -> Sequence[Finding]:
        """How the cluster and these topics stand, for `bothways doctor`; changes nothing."""
        message_bytes = settings.largest_message(self._options)
        return await asyncio.to_thread(examine, self._questions, self._servers, message_bytes, topics)

    async def close(self) -> None:
        """Wait a moment for what is under way, then let go."""
        if self._batches is not None:
            await asyncio.to_thread(self._batches.close)
            self._batches = None

    def _beginnings(self, topics: Sequence[str], at_end: bool) -> dict[Partition, int | None]:
        partitions = self._questions.present(topics)
        if at_end:
            return dict(self._questions.offsets(partitions, LATEST))
        return dict.fromkeys(partitions)

    def _lag(self, group: str, topics: Sequence[str]) -> dict[Partition, int]:
        partitions = self._questions.present(topics)
        oldest = self._questions.offsets(partitions, EARLIEST)
        ends = self._questions.offsets(partitions, LATEST)
        committed = self._questions.committed(group, partitions)
        return {each: max(0, ends[each] - max(oldest[each], committed.get(each, 0))) for each in partitions}
