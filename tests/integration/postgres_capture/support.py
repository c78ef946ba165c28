"""PostgreSQL as the suite's source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from bothways.connectors.postgres.capture import PostgresCapture
from bothways.connectors.postgres.relations import Missed
from bothways.connectors.postgres.replication import lsn
from bothways.model.values import Values
from bothways.sync.mapping import TableMap
from tests.suites.capture import AnyLog


class PostgresSource:
    """A database of the test's own; ``admin`` is a connection to it that commits each statement."""

    table = "items"
    publication = "items_publication"

    def __init__(self, url: str) -> None:
        self.url = url
        self.slot = f"slot_{url.rpartition('/')[2]}"

    async def open(self, *statements: str) -> None:
        """Make the tables, publish them, and a slot."""
        await self.connect()
        await self.run(*statements)
        await self.sql(f"create publication {self.publication} for table {self.table}")
        await self.make_slot()

    async def connect(self) -> None:
        """To a database that is as ``open`` made it."""
        self.admin = await psycopg.AsyncConnection.connect(self.url, autocommit=True)

    async def make_slot(self) -> None:
        """A slot that begins here."""
        await self.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", self.slot)

    async def close(self) -> None:
        await self.admin.close()

    async def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """One statement."""
        cursor = await self.admin.execute(statement.encode(), parameters or None)
        return await cursor.fetchall() if cursor.description else []

    async def run(self, *statements: str, origin: tuple[str, str] | None = None) -> None:
        async with self.admin.transaction():
            for statement in statements:
                await self.admin.execute(statement.encode())
            if origin is not None:
                marker = json.dumps({"origin": origin[0], "cause": origin[1]})
                await self.admin.execute("select pg_logical_emit_message(true, 'bothways', %s)", [marker])

    async def rows(self) -> dict[str, Values]:
        found = await self.sql("select id, name, amount from items")
        return {f'{{"id":{row[0]}}}': dict(zip(("id", "name", "amount"), row, strict=True)) for row in found}

    def capture(self, tables: Sequence[TableMap], log: AnyLog, missed: Missed | None = None) -> PostgresCapture:
        return capture_from(f"{self.slot} {self.publication} {self.url}", tables, log, missed)

    def program(self) -> tuple[str, str]:
        return f"{__name__}:capture_from", f"{self.slot} {self.publication} {self.url}"

    async def confirmed(self) -> int:
        """How far the slot was acknowledged."""
        ((found,),) = await self.sql(
            "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = %s", self.slot
        )
        return lsn(found)

    async def wal_end(self) -> int:
        """Where the server's WAL ends."""
        ((found,),) = await self.sql("select pg_current_wal_flush_lsn()::text")
        return lsn(found)

    async def end_stream(self) -> None:
        """Cut the connection that reads the slot."""
        await self.sql(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s", self.slot
        )


def capture_from(
    argument: str, tables: Sequence[TableMap], log: AnyLog, missed: Missed | None = None
) -> PostgresCapture:
    """``argument``: slot, publication, URL."""
    slot, publication, url = argument.split(" ", 2)
    return PostgresCapture(url, tables, log, slot=slot, publication=publication, name="test", missed=missed)
