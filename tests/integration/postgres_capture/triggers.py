"""PostgreSQL with an outbox as the suite's source."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bothways.connectors.postgres import outbox, outbox_setup
from bothways.connectors.postgres.trigger_capture import PostgresTriggerCapture
from bothways.sync.mapping import TableMap
from tests.integration.postgres_capture.support import PostgresSource
from tests.suites.capture import AnyLog


class TriggerSource(PostgresSource):
    """As ``PostgresSource``; its changes are seen by triggers."""

    async def open(self, *statements: str) -> None:
        """Make the tables and the outbox."""
        await self.connect()
        await self.run(*statements)
        await self.set_up()

    async def set_up(self, *tables: str) -> list[str]:
        """The outbox, with triggers on these tables; on the suite's, if none is named."""
        return await outbox_setup.setup(
            self.url, [TableMap(name, name, "any", frozenset()) for name in tables or (self.table,)]
        )

    async def run(self, *statements: str, origin: tuple[str, str] | None = None) -> None:
        async with self.admin.transaction():
            for statement in statements:
                await self.admin.execute(statement.encode())
            if origin is not None:
                await self.admin.execute(outbox.MARK, [json.dumps({"origin": origin[0], "cause": origin[1]})])

    def capture(self, tables: Sequence[TableMap], log: AnyLog) -> PostgresTriggerCapture:  # type: ignore[override]  # another role
        return capture_from(self.url, tables, log)

    def program(self) -> tuple[str, str]:
        return f"{__name__}:capture_from", self.url

    async def waiting(self) -> int:
        """How many rows the outbox holds."""
        ((found,),) = await self.sql("select count(*) from bothways.outbox")
        return int(found)


def capture_from(url: str, tables: Sequence[TableMap], log: AnyLog) -> PostgresTriggerCapture:
    """A capture of the outbox."""
    return PostgresTriggerCapture(url, tables, log, name="test")
