"""Consumer groups in SQL: members that show they live, leases on partitions, commits that need a lease.

Every function runs inside the caller's transaction, which holds the file's write lock: members decide one after the
other, each on what all others have decided.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bothways.eventlog.sqlite.sharing import share
from bothways.eventlog.sqlite.store import Place, load_topics, now_ms
from bothways.ports import Partition

LEASE_SECONDS = 4.0
"""A member that has not shown itself for so long has lost its partitions as soon as another one looks."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A partition that is ours to read."""

    partition_id: int
    epoch: int
    """The fencing token: each new lease of the group has a higher one."""
    start: int
    """The offset that the group had committed when the partition was taken."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member has after it showed itself."""

    leases: Mapping[Partition, Lease]
    surplus: frozenset[Partition]
    """Of these, what others should get: to be released once nobody here reads them."""
    generation: int
    """Moves whenever members or leases of the group change."""


def show(connection: sqlite3.Connection, group: str, member: str, topics: Iterable[str]) -> Standing:
    """Say that the member lives (it joins so, too), drop those that do not, and take what is free and ours by share."""
    changed = _expel(connection, group, member)
    changed |= _renew(connection, group, member, topics)
    members = _members(connection, group)
    read = frozenset().union(*members.values())
    places = {name: place for name, place in load_topics(connection).items() if name in read}
    names = {p: (place.name, n) for place in places.values() for n, p in enumerate(place.partitions)}
    held = _held(connection, group)
    shares = share({p: topic for p, (topic, _) in names.items()}, members, {p: owner for p, (owner, _) in held.items()})
    generation = _generation(connection, group)
    for partition, owner in shares.items():
        if owner == member and partition not in held:
            changed = True
            held[partition] = (member, generation + 1)
            connection.execute("insert into leases values (?, ?, ?, ?)", (group, partition, member, generation + 1))
    if changed:
        generation = _advance(connection, group)
    mine = {p: epoch for p, (owner, epoch) in held.items() if owner == member and p in names}
    starts = _committed(connection, group)
    return Standing(
        {names[p]: Lease(p, epoch, starts.get(p, 0)) for p, epoch in mine.items()},
        frozenset(names[p] for p in mine if shares.get(p) != member),
        generation,
    )


def release(connection: sqlite3.Connection, group: str, member: str, partitions: Iterable[int]) -> None:
    """Give leases back."""
    rows = [(group, partition, member) for partition in partitions]
    connection.executemany("delete from leases where group_name = ? and partition_id = ? and member = ?", rows)
    _advance(connection, group)


def leave(connection: sqlite3.Connection, group: str, member: str) -> None:
    """Be no member any more."""
    connection.execute("delete from leases where group_name = ? and member = ?", (group, member))
    connection.execute("delete from members where group_name = ? and member = ?", (group, member))
    _advance(connection, group)


def commit(connection: sqlite3.Connection, group: str, member: str, offsets: Sequence[tuple[Lease, int]]) -> None:
    """Store the next offsets to read, of those leases that are still the member's own."""
    connection.executemany(
        "insert or replace into offsets select group_name, partition_id, ? from leases"
        " where group_name = ? and partition_id = ? and member = ? and epoch = ?",
        [(offset, group, lease.partition_id, member, lease.epoch) for lease, offset in offsets],
    )


def generation_of(connection: sqlite3.Connection, group: str) -> int:
    """The group's generation, for readers who want to know whether anything has changed."""
    return _generation(connection, group)


def committed(connection: sqlite3.Connection, group: str, place: Place) -> dict[int, int]:
    """Partition number → next offset, where the group has committed one."""
    stored = _committed(connection, group)
    return {number: stored[p] for number, p in enumerate(place.partitions) if p in stored}


def _expel(connection: sqlite3.Connection, group: str, but: str) -> bool:
    """Drop the members that have not shown themselves in time. A clock that was set back counts as silence."""
    gone = connection.execute(
        "delete from members where group_name = ? and member <> ? and abs(? - seen_ms) > ?",
        (group, but, now_ms(), LEASE_SECONDS * 1000),
    ).rowcount
    connection.execute(
        "delete from leases where group_name = ?1"
        " and member not in (select member from members where group_name = ?1 union select ?2)",
        (group, but),
    )
    return gone > 0


def _renew(connection: sqlite3.Connection, group: str, member: str, topics: Iterable[str]) -> bool:
    known = connection.execute(
        "update members set seen_ms = ? where group_name = ? and member = ?", (now_ms(), group, member)
    ).rowcount
    if known:
        return False
    row = (group, member, "\n".join(topics), now_ms())
    connection.execute("insert into members values (?, ?, ?, ?)", row)
    return True


def _members(connection: sqlite3.Connection, group: str) -> dict[str, frozenset[str]]:
    rows = connection.execute("select member, topics from members where group_name = ?", (group,))
    return {member: frozenset(topics.split("\n")) for member, topics in rows}


def _held(connection: sqlite3.Connection, group: str) -> dict[int, tuple[str, int]]:
    rows = connection.execute("select partition_id, member, epoch from leases where group_name = ?", (group,))
    return {partition: (member, epoch) for partition, member, epoch in rows}


def _committed(connection: sqlite3.Connection, group: str) -> dict[int, int]:
    rows = connection.execute("select partition_id, next_offset from offsets where group_name = ?", (group,))
    return dict(rows.fetchall())


def _generation(connection: sqlite3.Connection, group: str) -> int:
    row = connection.execute("select generation from groups where name = ?", (group,)).fetchone()
    return int(row[0]) if row else 0


def _advance(connection: sqlite3.Connection, group: str) -> int:
    connection.execute(
        "insert into groups values (?, 1) on conflict (name) do update set generation = generation + 1", (group,)
    )
    return _generation(connection, group)
