"""How far the outbox is: for people and for numbers."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.connectors.postgres.outbox import LOCK, Tick
from bothways.connectors.postgres.store import PostgresStore, driver_of


@dataclass(frozen=True, slots=True)
class OldestTransaction:
    """The oldest transaction of the server that has written something and has not ended.

    Its own changes come when it commits; those of others are not held up. But until then the server cannot reuse the
    space of what was taken out of the outbox.
    """

    seconds: float | None
    """Its age; None where the user may not see it (pg_read_all_stats)."""
    process: int | None
    """The server's process; None for a prepared transaction, which has none."""


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """The outbox that capture reads."""

    active: bool
    """Somebody reads it now."""
    waiting: int
    """Changes that are not on the log yet; it is not counted beyond 10,000."""
    oldest: OldestTransaction | None
    """None where there is no such transaction."""


async def look_at_outbox(store: PostgresStore) -> OutboxStatus | None:
    """The outbox as it is now; None where there is none."""
    async with store.session() as session:
        driver = await driver_of(session)
        there = await (await driver.execute(b"SELECT to_regclass('bothways.outbox') IS NOT NULL")).fetchone()
        if there is None or not there[0]:
            return None
        last = await (await driver.execute(_LAST)).fetchone()
        active = await (await driver.execute(_ACTIVE, [LOCK])).fetchone()
        waiting = None if last is None else await (await driver.execute(_WAITING, Tick.parse(*last).rows())).fetchone()
        oldest = await (await driver.execute(_OLDEST)).fetchone()
    return OutboxStatus(
        active=active is not None,
        waiting=waiting[0] if waiting else 0,
        oldest=None if oldest is None else OldestTransaction(*oldest),
    )


_LAST = b"SELECT position, snapshot::text FROM bothways.tick ORDER BY position DESC LIMIT 1"
_ACTIVE = b"""
SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint << 32 | objid::bigint = %s
"""
_WAITING = b"""
SELECT count(*) FROM (
  SELECT FROM bothways.outbox WHERE xid = ANY(%(running)s::xid8[]) OR xid >= %(after)s::xid8 LIMIT 10000
) waiting
"""
_OLDEST = b"""
SELECT extract(epoch FROM clock_timestamp() - a.xact_start)::float8, l.pid
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
  AND l.pid IS DISTINCT FROM pg_backend_pid()
ORDER BY age(l.transactionid) DESC LIMIT 1
"""
