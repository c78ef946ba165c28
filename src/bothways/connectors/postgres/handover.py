"""From one way of capture to the other, while the application goes on writing: every change is seen by exactly one.

The boundary is a moment at which nobody writes the mapped tables (they are locked for it, ``outbox_setup.locked``):
every change so far is visible and stands before that place in the WAL, every later one behind it.

- To triggers: at the boundary they are made. The WAL before it is read to its end, then the slot is dropped; until then
  the outbox is not read (``bothways.handover`` says so).
- To the WAL: the slot is made first, then comes the boundary. What the outbox held by then is handed out, the slot is
  moved to the boundary, then outbox and triggers are dropped; until then the WAL is not read.

Each can be interrupted anywhere, and taken up by another ``setup``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bothways.connectors.postgres import outbox_setup
from bothways.connectors.postgres.capture import PostgresCapture
from bothways.connectors.postgres.outbox import COVERED, FIRST_TICK
from bothways.connectors.postgres.setting_up import SETUP_LOCK, Connection, connected, one_row, refuse_reader
from bothways.connectors.postgres.tables import describe, quoted
from bothways.connectors.postgres.threaded import ReadableLog
from bothways.connectors.postgres.trigger_capture import PostgresTriggerCapture
from bothways.eventlog.form import Form
from bothways.model.errors import SettingsError
from bothways.ports import Role
from bothways.sync.mapping import TableMap


@dataclass(frozen=True, slots=True)
class Handover:
    """What both directions work with. ``slot``, ``publication``, ``name``, ``form``: as in ``PostgresCapture``."""

    url: str
    tables: Sequence[TableMap]
    log: ReadableLog
    slot: str
    publication: str
    name: str
    form: Form

    async def by_triggers(self) -> bool:
        """Whether changes go to an outbox now."""
        async with connected(self.url) as connection:
            return await outbox_setup.is_there(connection)

    async def to_triggers(self) -> list[str]:
        """After ``outbox_setup.setup``: read the rest of the WAL, drop the slot. Raises ``Busy``, ``SourceLost``."""
        done = []
        async with connected(self.url) as connection:
            await connection.execute("SELECT pg_advisory_lock(%s)", [SETUP_LOCK])
            pending = await one_row(connection, "SELECT slot, position FROM bothways.handover")
            slot = self.slot if pending is None else pending[0]
            found = await one_row(connection, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", slot)
            if found is not None:
                refuse_reader(found[0])
                if pending is not None:
                    await self._read_wal(connection, slot, pending[1])
                    done.append("everything that the WAL held is on the log; from now on changes come by triggers")
                await connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
                done.append(f"dropped the replication slot {slot}")
            published = await one_row(connection, "SELECT FROM pg_publication WHERE pubname = %s", self.publication)
            if published is not None and (found is not None or pending is not None):
                await connection.execute(f"DROP PUBLICATION {quoted(self.publication)}".encode())
                done.append(f"dropped the publication {self.publication}")
            await connection.execute("DELETE FROM bothways.handover")
        return done

    async def to_log(self) -> list[str]:
        """After ``setup.setup``: hand out what is left in the outbox, and drop it. Raises ``Busy``, ``SourceLost``."""
        async with connected(self.url) as connection:
            await connection.execute("SELECT pg_advisory_lock(%s)", [SETUP_LOCK])
            if not await outbox_setup.is_there(connection):
                return []
            if await outbox_setup.is_unfinished(connection):
                raise SettingsError(
                    "the change from the WAL to triggers was not finished",
                    hint='set [catalogue] capture = "triggers", run `bothways setup`, then change it back',
                )
            refuse_reader(await outbox_setup.reader(connection))
            boundary = await self._boundary(connection)
            await self._read_outbox(connection, boundary)
            await connection.execute(_ADVANCE, {"slot": self.slot, "lsn": boundary})
            done = ["everything that the outbox held is on the log; from now on changes come from the WAL"]
            return done + await outbox_setup.drop(connection)

    async def _boundary(self, connection: Connection) -> int:
        """A tick that shows everything, with nothing of the mapped tables behind it in the WAL before its position."""
        positions: list[int] = []

        async def work() -> None:
            row = await one_row(connection, FIRST_TICK)
            assert row is not None
            positions.append(row[0])

        covered = await (await connection.execute(COVERED.encode())).fetchall()
        await outbox_setup.locked(connection, [f"{quoted(schema)}.{quoted(name)}" for _, schema, name in covered], work)
        return positions[-1]

    async def _read_wal(self, connection: Connection, slot: str, until_lsn: int) -> None:
        cursor = await connection.execute(_PUBLISHED, [self.publication])
        tables = await self._those(connection, set(await cursor.fetchall()))
        await _run(
            PostgresCapture(
                self.url,
                tables,
                self.log,
                slot=slot,
                publication=self.publication,
                name=self.name,
                form=self.form,
                until_lsn=until_lsn,
            )
        )

    async def _read_outbox(self, connection: Connection, until: int) -> None:
        cursor = await connection.execute(COVERED.encode())
        tables = await self._those(connection, {(schema, name) for _, schema, name in await cursor.fetchall()})
        await _run(PostgresTriggerCapture(self.url, tables, self.log, name=self.name, form=self.form, until=until))

    async def _those(self, connection: Connection, names: set[tuple[str, str]]) -> list[TableMap]:
        """A table that is new in the settings was not captured so far."""
        described = [(table, await describe(connection, table)) for table in self.tables]
        return [table for table, found in described if found is not None and (found.schema, found.name) in names]


async def _run(capture: Role) -> None:
    await capture.run()


_PUBLISHED = "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = %s"
_ADVANCE = """
SELECT pg_replication_slot_advance(slot_name, '0/0'::pg_lsn + %(lsn)s::numeric) FROM pg_replication_slots
WHERE slot_name = %(slot)s AND confirmed_flush_lsn < '0/0'::pg_lsn + %(lsn)s::numeric
"""
