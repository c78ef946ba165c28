"""One member of a consumer group."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from bothways.eventlog.sqlite import groups, store
from bothways.eventlog.sqlite.reader import News, Reader, Waiter
from bothways.eventlog.sqlite.writer import Writer
from bothways.model.errors import BothwaysError
from bothways.ports import Delivered, Partition

T = TypeVar("T")

SHOW_SECONDS = 1.0
"""How often a member shows that it lives."""


class SqliteConsumer:
    """Reads the partitions that it holds leases on; a task of its own keeps them.

    Positions live here, on the event loop: a poll that is cancelled while the file is read has moved none.
    """

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        news: News,
        group: str,
        topics: Sequence[str],
        revoked: Callable[[Sequence[Partition]], None],
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._group = group
        self._topics = tuple(topics)
        self._revoked = revoked
        self._member = uuid.uuid4().hex
        self._leases: dict[Partition, groups.Lease] = {}
        self._positions: dict[Partition, int] = {}
        self._generation = -1
        self._turn = 0
        self._failure: BothwaysError | None = None
        self._waiter = Waiter(news)
        self._look = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(), name=f"log-member {group}")

    async def poll(self, limit: int, timeout: float) -> Sequence[Delivered]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            if self._failure is not None:
                raise self._failure
            if self._keeper.done():
                self._keeper.result()  # it ends by an error only
            self._waiter.clear()
            found = await self._read(limit)
            left = deadline - loop.time()
            if found or left <= 0:
                return found
            await self._waiter.wait(left)

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        ours = [(self._leases[partition], offset) for partition, offset in offsets.items() if partition in self._leases]
        if ours:
            await self._write(lambda connection: groups.commit(connection, self._group, self._member, ours))

    async def close(self) -> None:
        self._waiter.close()
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        self._leases.clear()
        self._positions.clear()
        await self._write(lambda connection: groups.leave(connection, self._group, self._member))

    async def _read(self, limit: int) -> list[Delivered]:
        """What comes next in our partitions, and whether the group has changed."""
        leases = dict(self._leases)
        wanted = [store.Reading(p, lease.partition_id, self._positions[p]) for p, lease in leases.items()]
        self._turn = (self._turn + 1) % max(1, len(wanted))
        wanted = wanted[self._turn :] + wanted[: self._turn]

        def read(connection: sqlite3.Connection) -> tuple[list[Delivered], int]:
            return store.read(connection, wanted, limit), groups.generation_of(connection, self._group)

        found, generation = await asyncio.wrap_future(self._reader.submit(read))
        if generation != self._generation:
            self._look.set()
        # What was taken away while the file was read belongs to somebody else now.
        found = [d for d in found if self._leases.get((d.topic, d.partition)) is leases[d.topic, d.partition]]
        for delivered in found:
            self._positions[delivered.topic, delivered.partition] = delivered.offset + 1
        return found

    async def _keep(self) -> None:
        """Show that we live, now and then and whenever the group has changed."""
        while True:
            self._look.clear()
            try:
                await self._show()
                self._failure = None
            except BothwaysError as error:
                self._failure = error
                self._waiter.wake()
            try:
                async with asyncio.timeout(SHOW_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _show(self) -> None:
        """Renew, learn what is ours, and hand over what others should have."""
        standing = await self._write(lambda c: groups.show(c, self._group, self._member, self._topics))
        self._generation = standing.generation
        self._drop([p for p, lease in self._leases.items() if self._renewed(p, standing) != lease.epoch])
        surplus = {p: standing.leases[p].partition_id for p in standing.surplus}
        self._drop([p for p in surplus if p in self._leases])
        if surplus:
            # Only now that nobody here reads them any more.
            await self._write(lambda c: groups.release(c, self._group, self._member, surplus.values()))
        for partition, lease in standing.leases.items():
            if partition not in self._leases and partition not in surplus:
                self._leases[partition] = lease
                self._positions[partition] = lease.start
                self._waiter.wake()

    @staticmethod
    def _renewed(partition: Partition, standing: groups.Standing) -> int | None:
        lease = standing.leases.get(partition)
        return lease.epoch if lease else None

    def _drop(self, partitions: Sequence[Partition]) -> None:
        """Read these no more, and say so."""
        for partition in partitions:
            del self._leases[partition]
            del self._positions[partition]
        if partitions:
            self._revoked(partitions)

    async def _write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.wrap_future(self._writer.submit(function))
