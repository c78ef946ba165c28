"""The log of one machine: topics in an SQLite file, for as many processes as open it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from bothways.eventlog.murmur2 import partition_for
from bothways.eventlog.sqlite import fences, groups, store
from bothways.eventlog.sqlite.appender import SqliteAppender
from bothways.eventlog.sqlite.cleaner import Cleaner, Cleaning
from bothways.eventlog.sqlite.consumer import SqliteConsumer
from bothways.eventlog.sqlite.reader import News, Reader, Waiter
from bothways.eventlog.sqlite.schema import prepare
from bothways.eventlog.sqlite.topics import Topics
from bothways.eventlog.sqlite.writer import Writer
from bothways.model.errors import SettingsError
from bothways.ports import Delivered, Message, Partition, Topic

T = TypeVar("T")

_FOLLOW_LIMIT = 500
_FOLLOW_SECONDS = 1.0
"""At the latest then, look for topics that were not there before."""


class SqliteLog:
    """``Log`` and ``LogReading`` on a file. Two threads: one writes, one reads; the event loop does neither.

    Raises ``Unavailable`` when the file cannot be opened, and ``SettingsError`` when it is something else.
    """

    def __init__(self, path: Path, cleaning: Cleaning | None = None) -> None:
        prepare(path)
        self._news = News()
        self._reader = Reader(path, self._news)
        self._writer = Writer(path, Cleaner(cleaning or Cleaning()), self._reader.nudge)
        self._topics = Topics(self._reader)

    async def ensure(self, topics: Sequence[Topic]) -> None:
        await asyncio.wrap_future(self._writer.submit(lambda c: store.create_topics(c, topics), synced=True))

    def appender(self, fence: str | None = None) -> SqliteAppender:
        held = None
        if fence is not None:
            held = fences.Held(fence, self._writer.submit(lambda c: fences.take(c, fence), synced=True).result())
        return SqliteAppender(self._writer, self._topics, held)

    async def append(self, messages: Sequence[Message]) -> None:
        for message in messages:
            store.check(message, self._topics.get(message.topic))

        def write(connection: sqlite3.Connection) -> None:
            store.insert(connection, self._topics.known, messages)

        await asyncio.wrap_future(self._writer.submit(write, synced=True))

    def consumer(
        self, group: str, topics: Sequence[str], revoked: Callable[[Sequence[Partition]], None]
    ) -> SqliteConsumer:
        return SqliteConsumer(self._writer, self._reader, self._news, group, topics, revoked)

    async def tails(self, topics: Sequence[str]) -> Mapping[Partition, Delivered]:
        def read(connection: sqlite3.Connection) -> dict[Partition, Delivered]:
            places = _present(connection, topics)
            found = [store.last(connection, place, n) for place in places for n in range(len(place.partitions))]
            return {(d.topic, d.partition): d for d in found if d is not None}

        return await self._read(read)

    def partition_of(self, topic: str, key: bytes | None) -> int:
        place = self._topics.get(topic)
        if place is None:
            raise SettingsError(f"there is no topic {topic}", hint="`bothways setup` makes it")
        return partition_for(key, len(place.partitions))

    async def follow(self, topics: Sequence[str], *, from_start: bool) -> AsyncIterator[Delivered]:
        with contextlib.closing(Waiter(self._news)) as waiter:
            positions = {} if from_start else await self._read(partial(_ends, topics=topics))
            while True:
                waiter.clear()
                found = await self._read(partial(_next, topics=topics, positions=positions))
                for delivered in found:
                    positions[delivered.topic, delivered.partition] = delivered.offset + 1
                    yield delivered
                if not found:
                    await waiter.wait(_FOLLOW_SECONDS)

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        def read(connection: sqlite3.Connection) -> dict[Partition, int]:
            lags = {}
            for place in _present(connection, topics):
                committed = groups.committed(connection, group, place)
                for number, partition_id in enumerate(place.partitions):
                    oldest, end = store.bounds(connection, partition_id)
                    lags[place.name, number] = end - max(oldest, committed.get(number, 0))
            return lags

        return await self._read(read)

    async def close(self) -> None:
        """Write what is queued, then let go of the file."""
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._reader.close)

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.wrap_future(self._reader.submit(function))


def _present(connection: sqlite3.Connection, topics: Sequence[str]) -> list[store.Place]:
    known = store.load_topics(connection)
    return [known[name] for name in topics if name in known]


def _ends(connection: sqlite3.Connection, topics: Sequence[str]) -> dict[Partition, int]:
    places = _present(connection, topics)
    return {(place.name, n): store.bounds(connection, p)[1] for place in places for n, p in enumerate(place.partitions)}


def _next(connection: sqlite3.Connection, topics: Sequence[str], positions: Mapping[Partition, int]) -> list[Delivered]:
    wanted = [
        store.Reading((place.name, number), partition_id, positions.get((place.name, number), 0))
        for place in _present(connection, topics)
        for number, partition_id in enumerate(place.partitions)
    ]
    return store.read(connection, wanted, _FOLLOW_LIMIT)
