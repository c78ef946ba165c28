"""Making the outbox and the triggers that fill it, and taking them away again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import psycopg

from bothways.connectors.postgres.catalogue import random_id
from bothways.connectors.postgres.checks import check_table, read_server
from bothways.connectors.postgres.outbox import COVERED, FIRST_TICK, LOCK, TABLES, function, triggers
from bothways.connectors.postgres.rights import check_trigger_rights
from bothways.connectors.postgres.setting_up import SETUP_LOCK, Connection, connected, make_state, one_row
from bothways.connectors.postgres.tables import TableDescription, describe, quoted
from bothways.model.errors import Busy
from bothways.sync.mapping import TableMap

LOCK_SECONDS = 1.0
"""So long writers of a table may have to wait for us, while we wait for others: then we let go and try again."""
ATTEMPTS, PAUSE_SECONDS = 20, 1.0


async def check(url: str, tables: Sequence[TableMap]) -> None:
    """Raise ``SettingsError``, with what to do, where ``setup`` would refuse. Makes nothing."""
    async with connected(url) as connection:
        await _checked(connection, tables)


async def setup(
    url: str,
    tables: Sequence[TableMap],
    *,
    new_id: Callable[[], str] = random_id,
    missed: Callable[[], Awaitable[None]] | None = None,
    narrow: bool = True,
    slot: str | None = None,
) -> list[str]:
    """Make state tables, outbox and triggers, or bring them up to date; returns what was done, for people.

    As ``setup.setup``. ``slot`` names the replication slot by which changes were captured so far: where there is one,
    and no outbox yet, its WAL up to this moment has to be read before the outbox may be (``handover.py``). Raises
    ``Busy`` where transactions keep a table locked.
    """
    async with connected(url) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [SETUP_LOCK])
        described = await _checked(connection, tables)
        done, is_new = await make_state(url, new_id)
        made = await _make(connection, described, slot)
        done += made
        if made and not is_new and missed is not None and not await is_unfinished(connection):
            await missed()
            done.append("changes since capture was taken down were not seen: run `bothways backfill`")
        if not made:
            done += await _add(connection, described)
        if narrow:
            done += await _narrow(connection, described)
    return done


async def is_there(connection: Connection) -> bool:
    """Whether there is an outbox."""
    return await one_row(connection, "SELECT FROM pg_class WHERE oid = to_regclass('bothways.outbox')") is not None


async def is_unfinished(connection: Connection) -> bool:
    """Whether the WAL has to be read before the outbox."""
    return await is_there(connection) and await one_row(connection, "SELECT FROM bothways.handover") is not None


async def drop(connection: Connection) -> list[str]:
    """Take the triggers away, table by table, then the outbox. What is in it is lost."""
    done = []
    for oid, schema, name in await _covered(connection):
        await _drop_triggers(connection, oid, f"{quoted(schema)}.{quoted(name)}")
        done.append(f"dropped the triggers on {schema}.{name}")
    await connection.execute("DROP TABLE IF EXISTS bothways.outbox, bothways.tick, bothways.shape, bothways.handover")
    return [*done, "dropped the outbox"]


async def reader(connection: Connection) -> int | None:
    """The server's process that reads the outbox."""
    row = await one_row(connection, _READER, str(LOCK))
    return None if row is None else int(row[0])


async def locked(connection: Connection, tables: Sequence[str], work: Callable[[], Awaitable[None]]) -> None:
    """Do the work in a transaction in which nobody else writes these tables: whoever did has ended, and is seen.

    Whoever wants to write meanwhile waits, for a second or so at most. Raises ``Busy`` where we never get the locks.
    """
    listed = ", ".join(sorted(tables))
    for _ in range(ATTEMPTS):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{round(LOCK_SECONDS * 1000)}ms'".encode())
                if listed:
                    await connection.execute(f"LOCK TABLE {listed} IN SHARE ROW EXCLUSIVE MODE".encode())
                await work()
        except psycopg.errors.LockNotAvailable:
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
    raise Busy(
        f"other transactions keep one of {listed} locked",
        hint="find the long one in pg_stat_activity, or try again later",
    )


async def _checked(connection: Connection, tables: Sequence[TableMap]) -> list[TableDescription]:
    """The tables, once everything that can be refused has been looked at."""
    (await read_server(connection)).check_version()
    described = [(table, await describe(connection, table)) for table in tables]
    covered = {(schema, name) for _, schema, name in await _covered(connection)}
    added = [found for _, found in described if found is not None and (found.schema, found.name) not in covered]
    await check_trigger_rights(connection, added)
    checked = []
    for table, found in described:
        await check_table(connection, table, found, None, by_log=False)
        assert found is not None
        checked.append(found)
    return checked


async def _make(connection: Connection, tables: Sequence[TableDescription], slot: str | None) -> list[str]:
    """The outbox and its triggers, from one moment on, where there is none."""
    if await is_there(connection):
        return []
    reads = slot is not None and await one_row(connection, _SLOT, slot) is not None

    async def work() -> None:
        if reads and await one_row(connection, f"{_SLOT} AND active_pid IS NOT NULL", str(slot)) is not None:
            raise Busy(f"somebody reads the slot {slot}", hint="stop `bothways up` first, wherever it runs")
        await connection.execute(TABLES.encode())
        for table in tables:
            await _add_triggers(connection, table)
        await connection.execute(FIRST_TICK.encode())
        if reads:
            await connection.execute(
                "INSERT INTO bothways.handover SELECT %s, max(position) FROM bothways.tick", [slot]
            )

    await locked(connection, [table.sql_name for table in tables], work)
    return ["made the outbox", *(f"made the triggers on {table.schema}.{table.name}" for table in tables)]


async def _add(connection: Connection, tables: Sequence[TableDescription]) -> list[str]:
    """The triggers that are missing."""
    done = []
    covered = {(schema, name) for _, schema, name in await _covered(connection)}
    for table in tables:
        if (table.schema, table.name) not in covered:
            await locked(connection, [table.sql_name], partial(_add_triggers, connection, table))
            done.append(f"made the triggers on {table.schema}.{table.name}")
            done.append(
                f"changes that {table.name} saw before this are not on the log:"
                f" run `bothways backfill {table.entity} --again`"
            )
    return done


async def _add_triggers(connection: Connection, table: TableDescription) -> None:
    row = await one_row(connection, "SELECT %s::regclass::oid::bigint", table.sql_name)
    assert row is not None
    _, statements = function(row[0])
    await connection.execute(statements.encode())
    await connection.execute(triggers(table.sql_name, row[0]).encode())


async def _narrow(connection: Connection, tables: Sequence[TableDescription]) -> list[str]:
    """Nothing but these tables has triggers of ours."""
    done = []
    wanted = {(table.schema, table.name) for table in tables}
    for oid, schema, name in await _covered(connection):
        if (schema, name) not in wanted:
            await _drop_triggers(connection, oid, f"{quoted(schema)}.{quoted(name)}")
            done.append(f"{schema}.{name} is no longer captured: its triggers are gone")
    return done


async def _drop_triggers(connection: Connection, oid: int, table: str) -> None:
    """With their function, which is ours; the triggers alone could only be dropped by the table's owner."""
    name, _ = function(oid)

    async def work() -> None:
        await connection.execute(f"DROP FUNCTION {name}() CASCADE".encode())

    await locked(connection, [table], work)


async def _covered(connection: Connection) -> list[tuple[Any, ...]]:
    return await (await connection.execute(COVERED.encode())).fetchall()


_SLOT = "SELECT FROM pg_replication_slots WHERE slot_name = %s"

_READER = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint << 32 | objid::bigint = %s::bigint
"""
