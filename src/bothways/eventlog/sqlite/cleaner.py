"""Retention and compaction, in small steps between other writes, by whichever process comes first.

The newest message of a partition always stays, so that its end can be read whatever its age.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from bothways.eventlog.sqlite.schema import OFFSET_BITS
from bothways.eventlog.sqlite.store import Place, load_topics, now_ms

_logger = structlog.get_logger(__name__)

_CHUNK = 1_000
_KEYS_AT_ONCE = 100_000
_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cleaning:
    """How often, and from when on it pays."""

    interval_seconds: float = 10.0
    compact_after: int = 1_000
    """New messages in a partition, and at least half as many as are known to be clean."""
    keep_tombstones_seconds: float = 24 * 3600.0
    """So that readers who are behind learn of the deletion (Kafka's ``delete.retention.ms``)."""


class Cleaner:
    """Used by the writer's thread alone."""

    def __init__(self, cleaning: Cleaning) -> None:
        self._cleaning = cleaning
        self._next = time.monotonic() + cleaning.interval_seconds
        self._steps: Iterator[None] | None = None

    def due_in(self) -> float:
        """Seconds until ``step`` should be called."""
        return 0.0 if self._steps is not None else self._next - time.monotonic()

    def step(self, connection: sqlite3.Connection) -> None:
        """One short piece of work, inside a transaction."""
        if self._steps is None:
            if not self._claim(connection):
                self._rest(self._cleaning.interval_seconds)
                return
            self._steps = self._clean(connection)
        if next(self._steps, self) is self:
            self._rest(self._cleaning.interval_seconds)

    def failed(self, error: Exception) -> None:
        """The step's transaction failed: begin anew later."""
        _logger.warning("log cleaning failed", error=str(error))
        self._rest(_RETRY_SECONDS)

    def _rest(self, seconds: float) -> None:
        self._steps = None
        self._next = time.monotonic() + seconds

    def _claim(self, connection: sqlite3.Connection) -> bool:
        """One process in each interval."""
        now = now_ms()
        row = connection.execute("select done_ms from chores where name = 'clean'").fetchone()
        if row and 0 <= now - row[0] < self._cleaning.interval_seconds * 900:
            return False
        connection.execute("insert or replace into chores (name, done_ms) values ('clean', ?)", (now,))
        return True

    def _clean(self, connection: sqlite3.Connection) -> Iterator[None]:
        for place in load_topics(connection).values():
            for partition in place.partitions:
                if place.compacted:
                    yield from self._compact(connection, place, partition)
                else:
                    yield from _expire(connection, place, partition)

    def _compact(self, connection: sqlite3.Connection, place: Place, partition: int) -> Iterator[None]:
        """Of each key leave the last message; of a deleted key nothing, after a time."""
        end, cleaned = connection.execute(
            "select next_offset, cleaned_offset from partitions where id = ?", (partition,)
        ).fetchone()
        pays = end - cleaned >= max(self._cleaning.compact_after, cleaned // 2)
        if not pays and not _is_overdue(connection, place, (partition << OFFSET_BITS) + cleaned):
            return
        base = partition << OFFSET_BITS
        newest: dict[bytes, int] = {}
        position = base + cleaned
        while position < base + end and len(newest) < _KEYS_AT_ONCE:
            rows = connection.execute(
                "select id, key from messages where id >= ? and id < ? order by id limit ?",
                (position, base + end, _CHUNK),
            ).fetchall()
            newest.update((key, row_id) for row_id, key in rows)
            position = rows[-1][0] + 1 if len(rows) == _CHUNK else base + end
            yield
        yield from self._drop_old(connection, base, position, newest)
        connection.execute("update partitions set cleaned_offset = ? where id = ?", (position - base, partition))

    def _drop_old(
        self, connection: sqlite3.Connection, base: int, upto: int, newest: dict[bytes, int]
    ) -> Iterator[None]:
        position = base
        stale_ms = now_ms() - round(self._cleaning.keep_tombstones_seconds * 1000)
        while position < upto:
            rows = connection.execute(
                "select id, key, value is null and timestamp_ms <= ? from messages"
                " where id >= ? and id < ? and id < (select max(id) from messages where id < ?) order by id limit ?",
                (stale_ms, position, upto, base + (1 << OFFSET_BITS), _CHUNK),
            ).fetchall()
            gone = [(row_id,) for row_id, key, ended in rows if row_id < newest.get(key, row_id) or ended]
            connection.executemany("delete from messages where id = ?", gone)
            position = rows[-1][0] + 1 if len(rows) == _CHUNK else upto
            yield


def _is_overdue(connection: sqlite3.Connection, place: Place, dirty: int) -> bool:
    """Whether the first message that was not compacted yet has waited as long as the topic allows."""
    if place.retention_ms is None:
        return False
    found = connection.execute(
        "select timestamp_ms from messages where id >= ? and id < ? order by id limit 1",
        (dirty, ((dirty >> OFFSET_BITS) + 1) << OFFSET_BITS),
    ).fetchone()
    return found is not None and found[0] < now_ms() - place.retention_ms


def _expire(connection: sqlite3.Connection, place: Place, partition: int) -> Iterator[None]:
    """Drop what is older than the topic keeps."""
    if place.retention_ms is None:
        return
    cutoff = now_ms() - place.retention_ms
    base = partition << OFFSET_BITS
    while True:
        rows = connection.execute(
            "select id, timestamp_ms from messages where id >= ? and id < ? order by id limit ?",
            (base, base + (1 << OFFSET_BITS), _CHUNK + 1),
        ).fetchall()
        old = [row_id for row_id, stamp in rows[:-1] if stamp < cutoff]
        if old:
            connection.execute("delete from messages where id between ? and ?", (base, old[-1]))
        yield
        if len(old) < _CHUNK:
            return
