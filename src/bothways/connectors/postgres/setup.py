"""Making what the sync needs in the catalogue, and taking it away again."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import psycopg

from bothways.connectors.postgres import outbox_setup, publishing
from bothways.connectors.postgres.catalogue import random_id
from bothways.connectors.postgres.checks import check_condition, check_server, check_table
from bothways.connectors.postgres.rights import check_rights
from bothways.connectors.postgres.setting_up import (
    SETUP_LOCK,
    Connection,
    connected,
    make_state,
    one_row,
    refuse_reader,
)
from bothways.connectors.postgres.tables import TableDescription, describe, quoted
from bothways.connectors.postgres.wholeness import stored_columns
from bothways.model.errors import Busy, SettingsError
from bothways.state.tables import SCHEMA
from bothways.sync.mapping import TableMap

_SLOT_NAME = re.compile("[a-z0-9_]{1,63}")

Fills = Mapping[str, Collection[str]]
"""Entity → the columns that a new remote object fills, for the entities whose remote objects become rows."""


async def inspect(url: str, tables: Sequence[TableMap]) -> list[TableDescription]:
    """The mapped tables as they are, in order. Raises ``SettingsError`` for one not there, and for a bad ``where``."""
    found = []
    async with connected(url) as connection:
        for table in tables:
            description = await describe(connection, table)
            if description is None:
                raise SettingsError(
                    f"[entities.{table.entity}]: there is no table {table.table!r}",
                    hint="write its name as the database spells it, with its schema where it is not in the search path",
                )
            await check_condition(connection, table, description)
            found.append(description)
    return found


async def check(
    url: str, tables: Sequence[TableMap], *, slot: str, publication: str, fills: Fills | None = None
) -> None:
    """Raise ``SettingsError``, with what to do, where ``setup`` would refuse. Makes nothing."""
    async with connected(url) as connection:
        await _checked(connection, tables, slot, publication, fills or {})


async def setup(
    url: str,
    tables: Sequence[TableMap],
    *,
    slot: str,
    publication: str,
    fills: Fills | None = None,
    new_id: Callable[[], str] = random_id,
    missed: Callable[[], Awaitable[None]] | None = None,
    narrow: bool = True,
) -> list[str]:
    """Make state tables, publication and slot, or bring them up to date; returns what was done, for people.

    May run at any time and any number of times. ``missed`` is called where the installation was there and its slot was
    not: what changed since it was dropped will never be seen. ``narrow`` takes tables that are not in ``tables`` out of
    the publication; without it they stay, since others may be capturing them. Raises ``SettingsError`` with what to do
    where the server, a table or the user cannot work; nothing was made then.
    """
    async with connected(url) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [SETUP_LOCK])
        described = await _checked(connection, tables, slot, publication, fills or {})
        done, is_new = await make_state(url, new_id)
        # The slot comes last: it reads with the publication as it was at each place of the WAL.
        published = await publishing.look(connection, publication)
        if published is None:
            done += await _drop_stuck_slot(connection, slot)
        wanted = [(found, stored_columns(table, found)) for table, found in zip(tables, described, strict=True)]
        brought = await publishing.bring_up(connection, publication, published, wanted, narrow=narrow)
        done += brought.done
        if brought.missed and missed is not None:
            await missed()
        made = await _make_slot(connection, slot)
        if made and not is_new and missed is not None:
            await missed()
            made.append("changes since the slot was dropped were not seen: run `bothways backfill`")
        done += made
    return done or ["everything was in place"]


async def teardown(url: str, *, slot: str, publication: str) -> list[str]:
    """Take away slot, publication, triggers and state, in this order; returns what was done. Repeatable.

    The slot goes first, since it keeps the server from throwing WAL away. Raises ``Busy`` while somebody captures.
    """
    done = []
    async with connected(url) as connection:
        found = await one_row(connection, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", slot)
        if found is not None:
            refuse_reader(found[0])
            await connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
            done.append(f"dropped the replication slot {slot}")
        if await one_row(connection, "SELECT 1 FROM pg_publication WHERE pubname = %s", publication):
            await connection.execute(f"DROP PUBLICATION {quoted(publication)}".encode())
            done.append(f"dropped the publication {publication}")
        if await outbox_setup.is_there(connection):
            refuse_reader(await outbox_setup.reader(connection))
            done += await outbox_setup.drop(connection)
        if await one_row(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", SCHEMA):
            await connection.execute(f"DROP SCHEMA {quoted(SCHEMA)} CASCADE".encode())
            done.append(f"dropped the schema {SCHEMA} with the sync's state")
    return done or ["nothing was there"]


async def _checked(
    connection: Connection, tables: Sequence[TableMap], slot: str, publication: str, fills: Fills
) -> list[TableDescription]:
    """The tables, once everything that can be refused has been looked at."""
    await check_server(connection)
    if not await slot_there(connection, slot) and not await one_row(connection, _FREE_SLOT):
        raise no_free_slot()
    published = await publishing.look(connection, publication)
    described = [(table, await describe(connection, table)) for table in tables]
    there = [(found, stored_columns(table, found)) for table, found in described if found is not None]
    await check_rights(connection, publication, publishing.to_be_added(published, there))
    checked = []
    for table, found in described:
        await check_table(connection, table, found, fills.get(table.entity))
        assert found is not None
        checked.append(found)
    return checked


async def slot_there(connection: Connection, name: str) -> bool:
    """Whether the slot is there. Raises ``SettingsError`` for one that is not ours, or lost, and for a bad name."""
    if not _SLOT_NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no name for a slot", hint="letters a-z, digits and _ only, 63 at most")
    found = await one_row(connection, _SLOT, name)
    if found is None:
        return False
    plugin, here, lost = found
    if plugin != "pgoutput" or not here:
        raise SettingsError(
            f"there is a replication slot {name} already, of another database or another plugin",
            hint="name another one",
        )
    if lost:
        raise SettingsError(
            f"the replication slot {name} is lost: the server has thrown away what it had not read",
            hint=f"SELECT pg_drop_replication_slot('{name}'); then run `bothways setup` and `bothways backfill`",
        )
    return True


async def _drop_stuck_slot(connection: Connection, name: str) -> list[str]:
    """A slot whose publication was dropped: the server cannot read on past the place where there was none."""
    found = await one_row(connection, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", name)
    if found is None:
        return []
    if found[0] is not None:
        raise Busy(
            f"the slot {name} is being read (server process {found[0]}), and its publication is gone",
            hint="stop `bothways up` first",
        )
    await connection.execute("SELECT pg_drop_replication_slot(%s)", [name])
    return [f"dropped the replication slot {name}, whose publication was gone"]


async def _make_slot(connection: Connection, name: str) -> list[str]:
    if await slot_there(connection, name):
        return []
    try:
        await connection.execute(
            _NEW_SLOT if connection.info.server_version >= 170_000 else _NEW_SLOT_BEFORE_17, [name]
        )
    except psycopg.errors.ConfigurationLimitExceeded as error:
        raise no_free_slot() from error
    return [f"made the replication slot {name}"]


def no_free_slot() -> SettingsError:
    """What is said where the server has no room for a slot."""
    return SettingsError(
        "the server has no free replication slot",
        hint="ALTER SYSTEM SET max_replication_slots = …; then restart the server",
    )


_SLOT = """
SELECT plugin::text, database = current_database(), coalesce(wal_status = 'lost', false)
FROM pg_replication_slots WHERE slot_name = %s
"""

# From 17 on standbys that are set to keep slots in step have it, too, and it is there after a failover.
_NEW_SLOT = "SELECT pg_create_logical_replication_slot(%s, 'pgoutput', failover => true)"
_NEW_SLOT_BEFORE_17 = "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')"

_FREE_SLOT = """
SELECT 1 WHERE (SELECT count(*) FROM pg_replication_slots) < current_setting('max_replication_slots')::int
"""
