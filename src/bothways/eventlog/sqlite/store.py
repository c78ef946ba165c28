"""Topics and messages in SQL. Every function runs inside the caller's transaction."""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bothways.eventlog.murmur2 import partition_for
from bothways.eventlog.sqlite.schema import OFFSET_BITS
from bothways.model.errors import Refused, SettingsError
from bothways.ports import Delivered, Message, Partition, Topic

LARGEST_BYTES = 1_048_576
"""Of one message: key, value and headers. As much as a Kafka broker takes unless it is told otherwise."""

_LENGTHS = struct.Struct("<HI")
_READ_BYTES = 8 * 1024 * 1024
_COLUMNS = "id, key, value, headers, timestamp_ms"


@dataclass(frozen=True, slots=True)
class Place:
    """A topic's row: where its partitions are."""

    name: str
    partitions: tuple[int, ...]
    """Row ids, by partition number."""
    compacted: bool
    retention_ms: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """Where to read on in one partition."""

    partition: Partition
    partition_id: int
    offset: int


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def create_topics(connection: sqlite3.Connection, topics: Iterable[Topic]) -> None:
    """Make those that are missing; the others keep messages as long as is said now."""
    for topic in topics:
        retention = None if topic.retention_seconds is None else round(topic.retention_seconds * 1000)
        made = connection.execute(
            "insert into topics (name, partitions, compacted, retention_ms) values (?, ?, ?, ?) on conflict do nothing",
            (topic.name, topic.partitions, topic.compacted, retention),
        )
        if made.rowcount:
            rows = [(made.lastrowid, number) for number in range(topic.partitions)]
            connection.executemany("insert into partitions (topic_id, number) values (?, ?)", rows)
        else:
            changed = (retention, topic.name, retention)
            connection.execute("update topics set retention_ms = ? where name = ? and retention_ms is not ?", changed)


def load_topics(connection: sqlite3.Connection) -> dict[str, Place]:
    """All topics by name. Once made only their retention changes; the cleaner reads it anew each time."""
    rows = connection.execute(
        "select name, compacted, retention_ms, partitions.id from topics join partitions on topic_id = topics.id"
        " order by topic_id, number"
    ).fetchall()
    found: dict[str, Place] = {}
    for name, compacted, retention_ms, partition in rows:
        earlier = found[name].partitions if name in found else ()
        found[name] = Place(name, (*earlier, partition), bool(compacted), retention_ms)
    return found


def check(message: Message, place: Place | None) -> None:
    """Raises ``Refused`` or ``SettingsError`` for a message that the topic cannot take."""
    if place is None:
        raise SettingsError(f"there is no topic {message.topic}", hint="`bothways setup` makes it")
    if message.key is None and place.compacted:
        raise Refused(f"the topic {place.name} is compacted: a message without a key cannot be on it")
    size = size_of(message)
    if size > LARGEST_BYTES:
        raise Refused(
            f"a message of {size} bytes for the topic {place.name} is larger than {LARGEST_BYTES}",
            hint="leave the large column out of the mapping",
        )


def size_of(message: Message) -> int:
    """Bytes of key, value and headers."""
    size = len(message.key or b"") + len(message.value or b"")
    if message.headers:
        size += sum(len(name) + len(value) for name, value in message.headers)
    return size


def insert(connection: sqlite3.Connection, topics: Mapping[str, Place], messages: Sequence[Message]) -> None:
    """Append messages, each of which ``check`` let through, at the ends of their partitions."""
    stamp = now_ms()
    ends: dict[int, int] = {}
    rows = []
    for message in messages:
        partitions = topics[message.topic].partitions
        partition = partitions[partition_for(message.key, len(partitions))]
        end = ends.get(partition)
        if end is None:
            found = connection.execute("select next_offset from partitions where id = ?", (partition,)).fetchone()
            end = (partition << OFFSET_BITS) + found[0]
        ends[partition] = end + 1
        rows.append((end, message.key, message.value, pack(message.headers), stamp))
    connection.executemany(f"insert into messages ({_COLUMNS}) values (?, ?, ?, ?, ?)", rows)  # noqa: S608 -- constant
    mask = (1 << OFFSET_BITS) - 1
    moved = [(end & mask, partition) for partition, end in ends.items()]
    connection.executemany("update partitions set next_offset = ? where id = ?", moved)


def read(connection: sqlite3.Connection, wanted: Sequence[Reading], limit: int) -> list[Delivered]:
    """What comes next: at most so many messages, of each partition its share, and not all at once if they are large."""
    ends = _ends(connection, [reading.partition_id for reading in wanted])
    waiting = [reading for reading in wanted if ends[reading.partition_id] > reading.offset]
    found: list[Delivered] = []
    room = _READ_BYTES
    for index, reading in enumerate(waiting):
        share = max(1, (limit - len(found)) // (len(waiting) - index))
        if len(found) >= limit or room <= 0:
            break
        base = reading.partition_id << OFFSET_BITS
        rows = connection.execute(
            f"select {_COLUMNS} from messages where id >= ? and id < ? order by id limit ?",  # noqa: S608 -- constant
            (base + reading.offset, base + (1 << OFFSET_BITS), share),
        )
        for row in rows:
            found.append(_delivered(*reading.partition, row))
            room -= len(row[2] or b"")
            if room <= 0:
                break
    return found


def _ends(connection: sqlite3.Connection, partitions: Sequence[int]) -> dict[int, int]:
    marks = ",".join("?" * len(partitions))
    rows = connection.execute(f"select id, next_offset from partitions where id in ({marks})", partitions)  # noqa: S608
    return dict(rows.fetchall())


def last(connection: sqlite3.Connection, place: Place, number: int) -> Delivered | None:
    """The last message of one partition."""
    partition = place.partitions[number]
    row = connection.execute(
        f"select {_COLUMNS} from messages where id >= ? and id < ? order by id desc limit 1",  # noqa: S608 -- constant
        (partition << OFFSET_BITS, (partition + 1) << OFFSET_BITS),
    ).fetchone()
    return _delivered(place.name, number, row) if row else None


def bounds(connection: sqlite3.Connection, partition: int) -> tuple[int, int]:
    """Offset of the oldest message, and of the next to come (the same where there is none)."""
    low, high = partition << OFFSET_BITS, (partition + 1) << OFFSET_BITS
    first = connection.execute("select min(id) from messages where id >= ? and id < ?", (low, high)).fetchone()[0]
    end = connection.execute("select next_offset from partitions where id = ?", (partition,)).fetchone()[0]
    return (end if first is None else first - low), end


def pack(headers: tuple[tuple[str, bytes], ...]) -> bytes | None:
    """Headers as one blob; None for none."""
    if not headers:
        return None
    parts = []
    for name, value in headers:
        encoded = name.encode()
        parts += [_LENGTHS.pack(len(encoded), len(value)), encoded, value]
    return b"".join(parts)


def unpack(packed: bytes | None) -> tuple[tuple[str, bytes], ...]:
    """The inverse of ``pack``."""
    if not packed:
        return ()
    headers = []
    at = 0
    while at < len(packed):
        name_length, value_length = _LENGTHS.unpack_from(packed, at)
        start = at + _LENGTHS.size
        at = start + name_length + value_length
        headers.append((packed[start : start + name_length].decode(), packed[start + name_length : at]))
    return tuple(headers)


def _delivered(topic: str, number: int, row: tuple[int, bytes | None, bytes | None, bytes | None, int]) -> Delivered:
    offset = row[0] & ((1 << OFFSET_BITS) - 1)
    return Delivered(topic, number, offset, row[1], row[2], unpack(row[3]), row[4])
