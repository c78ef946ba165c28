"""Every prerequisite of the database, one by one: by the checks that ``setup`` makes, none of which hides another."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bothways.connectors.postgres import publishing
from bothways.connectors.postgres.checks import Server, check_table, read_server
from bothways.connectors.postgres.errors import transaction_error
from bothways.connectors.postgres.rights import check_rights, check_trigger_rights
from bothways.connectors.postgres.setting_up import connected
from bothways.connectors.postgres.setup import no_free_slot, slot_there
from bothways.connectors.postgres.store import Limits, PostgresStore
from bothways.connectors.postgres.tables import TableDescription, describe, quoted
from bothways.connectors.postgres.wholeness import stored_columns, triggered
from bothways.model.errors import BothwaysError, SettingsError
from bothways.model.finding import Finding, Grade, fault, ok, warning
from bothways.state.schema import installation, require_current
from bothways.sync.mapping import TableMap

Connection = psycopg.AsyncConnection[Any]

GIGABYTE = 2**30
CLOCK_SECONDS = 5.0
"""So far this machine's clock may be from the database's: deletions that are allowed, and leases, are told by them."""
SETUP = "bothways setup"


async def examine(
    url: str, tables: Sequence[TableMap], *, slot: str, publication: str, captures_wal: bool = True
) -> list[Finding]:
    """What was found. ``captures_wal``: changes are read from the WAL, which needs a slot. Changes nothing."""
    try:
        async with connected(url) as connection:
            return await _Examination(connection, tables, slot, publication, captures_wal).run(url)
    except BothwaysError as error:
        return [fault("database", error)]


class _Examination:
    """One database, by one connection."""

    def __init__(
        self, connection: Connection, tables: Sequence[TableMap], slot: str, publication: str, captures_wal: bool
    ) -> None:
        self.connection, self.tables = connection, tables
        self.slot, self.publication, self.captures_wal = slot, publication, captures_wal
        self.findings: list[Finding] = []

    async def run(self, url: str) -> list[Finding]:
        server = await read_server(self.connection)
        self._server(server)
        await self._clock()
        described = [await self._table(table, server.username) for table in self.tables]
        if self.captures_wal:
            there = zip(self.tables, described, strict=True)
            await self._publication([(each, stored_columns(table, each)) for table, each in there if each is not None])
            await self._slot()
            await self._room()
        else:
            await self._triggers([each for each in described if each is not None])
        await self._state(url)
        return self.findings

    # ---------------------------------------------------------------------------------------------------- the server

    def _server(self, server: Server) -> None:
        self._try("database: version", server.check_version, f"PostgreSQL {server.version_name}, as {server.username}")
        if self.captures_wal:
            self._try("database: wal_level", server.check_wal_level, server.wal_level)
            self._try("database: right to replicate", server.check_replication, f"{server.username} may")

    async def _clock(self) -> None:
        row = await self._row(
            "SELECT extract(epoch FROM clock_timestamp())::float8 AS at, current_setting('TimeZone') AS zone"
        )
        ahead, what = time.time() - float(row["at"]), "database: clock"
        if abs(ahead) > CLOCK_SECONDS:
            where = "ahead of" if ahead > 0 else "behind"
            found = f"this machine's clock is {abs(ahead):.0f} s {where} the database's"
            self.findings.append(warning(what, found, "timedatectl set-ntp true  # on both machines"))
        else:
            self.findings.append(ok(what, f"the same as here; time zone {row['zone']}"))

    # ---------------------------------------------------------------------------------------------------- the tables

    async def _table(self, table: TableMap, user: str) -> TableDescription | None:
        what = f"table {table.table}"
        found: TableDescription | None = None
        async with self._trying(what):
            found = await describe(self.connection, table)
            await check_table(self.connection, table, found, None, by_log=self.captures_wal)
            assert found is not None, "the check has refused it"
            missing = await self._missing_rights(found)
            if missing:
                raise SettingsError(
                    f"[entities.{table.entity}]: {user} lacks {', '.join(missing)} on {found.sql_name}",
                    hint=f"GRANT {', '.join(missing)} ON {found.sql_name} TO {quoted(user)};",
                )
            key, identity = ", ".join(found.key), found.identity.name.lower()
            self.findings.append(ok(what, f"primary key {key}, replica identity {identity}, {user} may read and write"))
        return found

    async def _missing_rights(self, found: TableDescription) -> list[str]:
        needed = ("SELECT", "INSERT", "UPDATE", "DELETE")
        columns = ", ".join(f"has_table_privilege(%(table)s, '{each}') AS {each.lower()}" for each in needed)
        row = await self._row(f"SELECT {columns}", table=found.sql_name)
        return [each for each in needed if not row[each.lower()]]

    # ----------------------------------------------------------------------------------------------- what setup makes

    async def _publication(self, described: publishing.Wanted) -> None:
        what, name = f"publication {self.publication}", self.publication
        async with self._trying(what):
            there = await publishing.look(self.connection, name)
            lacking = publishing.to_be_added(there, described)
            await check_rights(self.connection, name, lacking)
            if there is None:
                self.findings.append(warning(what, "not made yet; the user may make it", SETUP))
            elif lacking:
                names = ", ".join(each.sql_name for each in lacking)
                self.findings.append(warning(what, f"does not have all of {names}: changes are not captured", SETUP))
            elif not (there.whole and there.well_set):
                self.findings.append(warning(what, "leaves out changes, partitions or generated columns", SETUP))
            else:
                self.findings.append(ok(what, f"has {', '.join(sorted(there.tables)) or 'no table'}"))

    async def _triggers(self, described: Sequence[TableDescription]) -> None:
        async with self._trying("triggers"):
            there = await triggered(self.connection)
            lacking = [each for each in described if each.oid not in there.tables]
            await check_trigger_rights(self.connection, lacking)
            if lacking:
                names = ", ".join(each.sql_name for each in lacking)
                self.findings.append(warning("triggers", f"not made yet on {names}: nothing of it is captured", SETUP))
            else:
                self.findings.append(ok("triggers", f"on {', '.join(each.sql_name for each in described)}"))

    async def _slot(self) -> None:
        what = f"slot {self.slot}"
        async with self._trying(what):
            if not await slot_there(self.connection, self.slot):
                self.findings.append(warning(what, "not made yet: nothing is captured", SETUP))
                return
            row = await self._row(_SLOT, slot=self.slot)
            kept, reader = f"the server keeps {_size(row['retained'])} of WAL for it", "read now"
            if not row["active"]:
                reader = "nobody reads it"
            found = f"{reader}, {_size(row['behind'])} behind; {kept}"
            if row["wal_status"] == "unreserved":
                self.findings.append(warning(what, f"{found}, and will throw it away soon", "bothways up  # at once"))
            elif not row["active"] and row["retained"] > GIGABYTE:
                mend = "bothways up  # or, where nothing is to be captured any more: bothways teardown"
                self.findings.append(warning(what, found, mend))
            else:
                self.findings.append(ok(what, found))

    async def _room(self) -> None:
        row = await self._row(_ROOM, slot=self.slot)
        for what, used, most, setting, needs in (
            ("replication slots", row["slots"], row["max_slots"], "max_replication_slots", not row["has_slot"]),
            ("WAL senders", row["senders"], row["max_senders"], "max_wal_senders", not row["reads"]),
        ):
            name, found = f"database: {what}", f"{used} of {most} in use"
            mend = f"ALTER SYSTEM SET {setting} = {int(most) + 5};  -- then restart the server"
            if used < most or not needs:
                self.findings.append(ok(name, found))
            elif what == "replication slots":
                self.findings.append(Finding(name, Grade.FAULT, no_free_slot().message, mend))
            else:
                self.findings.append(Finding(name, Grade.FAULT, f"{found}: capture cannot connect", mend))
        limit = row["keep"]
        if limit == "-1":
            found = "no limit: while nobody reads the slot, WAL is kept until the disk is full"
            mend = (
                "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();  -- what the disk can spare"
            )
            self.findings.append(warning("database: max_slot_wal_keep_size", found, mend))
        else:
            found = f"{limit}: a slot that is further behind is lost, and a backfill is needed"
            self.findings.append(ok("database: max_slot_wal_keep_size", found))

    async def _state(self, url: str) -> None:
        what, store = "state", PostgresStore(url, Limits(connections=1))
        try:
            async with store.session() as session:
                await require_current(session)
                found = await installation(session)
        except BothwaysError as error:
            self.findings.append(
                Finding(what, Grade.WARNING, error.message, SETUP if "setup" in error.hint else error.hint)
            )
        else:
            self.findings.append(ok(what, f"the tables are there; this installation is {found}"))
        finally:
            await store.close()

    # ------------------------------------------------------------------------------------------------------ plumbing

    def _try(self, what: str, check: Callable[[], None], found: str) -> None:
        try:
            check()
        except BothwaysError as error:
            self.findings.append(fault(what, error))
        else:
            self.findings.append(ok(what, found))

    @asynccontextmanager
    async def _trying(self, what: str) -> AsyncIterator[None]:
        """What is refused inside becomes a fault; the connection can be used afterwards."""
        try:
            yield
        except BothwaysError as error:
            self.findings.append(fault(what, error))
        except psycopg.Error as error:
            told = transaction_error(error)
            if told is None:
                raise
            self.findings.append(fault(what, told))

    async def _row(self, statement: str, **values: str) -> dict[str, Any]:
        async with self.connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement.encode(), values)
            row = await cursor.fetchone()
        assert row is not None, "the statement always has a row"
        return row


def _size(count: int) -> str:
    """Bytes, as people read them."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


_SLOT = """
SELECT active, wal_status::text AS wal_status,
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn), 0)::bigint AS behind,
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint AS retained
FROM pg_replication_slots WHERE slot_name = %(slot)s
"""

_ROOM = """
SELECT (SELECT count(*) FROM pg_replication_slots) AS slots,
       current_setting('max_replication_slots')::int AS max_slots,
       (SELECT count(*) FROM pg_stat_replication) AS senders, current_setting('max_wal_senders')::int AS max_senders,
       current_setting('max_slot_wal_keep_size') AS keep,
       EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %(slot)s) AS has_slot,
       EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %(slot)s AND active) AS reads
"""
