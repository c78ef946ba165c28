"""A log in memory: topics, partitions, consumer groups that shift when members come and go."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Mapping, Sequence

from bothways.ports import Appender, Delivered, Message, Partition, Topic

PARTITIONS = 2


class MemoryLog:
    """What survives every crash, shared by all processes."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.partitions: dict[Partition, list[Delivered]] = {}
        self.committed: dict[tuple[str, Partition], int] = {}
        self.members: dict[str, list[MemoryConsumer]] = {}
        self.changed = asyncio.Event()

    async def ensure(self, topics: Sequence[Topic]) -> None:
        """See ``ports.Log``."""
        for topic in topics:
            for number in range(PARTITIONS):
                self.partitions.setdefault((topic.name, number), [])

    def appender(self, fence: str | None = None) -> Appender:
        """The simulation's capture appends and waits."""
        raise AssertionError("not used by the simulation")

    async def append(self, messages: Sequence[Message]) -> None:
        """See ``ports.Log``."""
        await asyncio.sleep(self.chance.random() * 0.004)
        for each in messages:
            place = (each.topic, zlib.crc32(each.key or b"") % PARTITIONS)
            lies = self.partitions[place]
            lies.append(Delivered(*place, len(lies), each.key, each.value, each.headers, 0))
        self.changed.set()

    def consumer(
        self, group: str, topics: Sequence[str], revoked: Callable[[Sequence[Partition]], None]
    ) -> MemoryConsumer:
        """See ``ports.Log``."""
        consumer = MemoryConsumer(self, group, topics, revoked)
        self.members.setdefault(group, []).append(consumer)
        self.rebalance(group)
        return consumer

    def rebalance(self, group: str) -> None:
        """Share the partitions anew; what moves starts at its committed offset."""
        members = self.members.get(group, [])
        topics = {topic for member in members for topic in member.topics}
        owned: dict[MemoryConsumer, set[Partition]] = {member: set() for member in members}
        for n, place in enumerate(sorted(p for p in self.partitions if p[0] in topics)):
            if members:
                owned[members[n % len(members)]].add(place)
        for member in members:
            member.assign(owned[member])

    def leave(self, consumer: MemoryConsumer) -> None:
        """The member left, or was thought dead."""
        members = self.members.get(consumer.group, [])
        if consumer in members:
            members.remove(consumer)
            self.rebalance(consumer.group)
        consumer.assign(set())

    def behind(self, group: str) -> int:
        """How many messages the group has not committed."""
        return sum(len(lies) - self.committed.get((group, place), 0) for place, lies in self.partitions.items())


class MemoryConsumer:
    """See ``ports.Consumer``."""

    def __init__(
        self, log: MemoryLog, group: str, topics: Sequence[str], revoked: Callable[[Sequence[Partition]], None]
    ) -> None:
        self.log, self.group, self.topics, self.revoked = log, group, topics, revoked
        self.at: dict[Partition, int] = {}

    def assign(self, partitions: set[Partition]) -> None:
        """These are ours from now on."""
        lost = [place for place in self.at if place not in partitions]
        for place in lost:
            del self.at[place]
        if lost:
            self.revoked(lost)
        for place in partitions - self.at.keys():
            self.at[place] = self.log.committed.get((self.group, place), 0)
        self.log.changed.set()

    async def poll(self, limit: int, timeout: float) -> Sequence[Delivered]:
        """See the port."""
        try:
            async with asyncio.timeout(timeout):
                while not (found := self._next(limit)):
                    self.log.changed.clear()
                    await self.log.changed.wait()
        except TimeoutError:
            return ()
        await asyncio.sleep(self.log.chance.random() * 0.01)
        return found

    def _next(self, limit: int) -> list[Delivered]:
        found: list[Delivered] = []
        for place in sorted(self.at):
            lies = self.log.partitions[place]
            take = lies[self.at[place] : self.at[place] + limit - len(found)]
            self.at[place] += len(take)
            found += take
        return found

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """See the port."""
        await asyncio.sleep(0)
        for place, offset in offsets.items():
            if place in self.at:
                self.log.committed[self.group, place] = max(offset, self.log.committed.get((self.group, place), 0))

    async def close(self) -> None:
        """See the port."""
        self.log.leave(self)
