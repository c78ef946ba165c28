"""How far the replication slot is: for people and for numbers."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.connectors.postgres.store import PostgresStore, driver_of


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """The slot that capture reads."""

    name: str
    active: bool
    """Somebody reads it now."""
    lag_bytes: int
    """WAL that the server keeps for it: written and not acknowledged."""
    wal_status: str
    """``reserved`` and ``extended`` are well; ``unreserved`` will soon be ``lost``: then capture cannot go on."""


async def look_at_slot(store: PostgresStore, name: str) -> SlotStatus | None:
    """The slot as it is now; None where there is none of that name."""
    async with store.session() as session:
        driver = await driver_of(session)
        found = await (await driver.execute(_SLOT, [name])).fetchone()
    return None if found is None else SlotStatus(name, *found)


_SLOT = b"""
SELECT active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0)::bigint, wal_status::text
FROM pg_replication_slots WHERE slot_name = %s
"""
