"""The user's database as the sync sees it: rows, and the state beside them, in one transaction."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from bothways.connectors.postgres.outbox import MARK
from bothways.connectors.postgres.rows import PostgresRows, Tables
from bothways.connectors.postgres.session import Driver, Pipe, PostgresSession
from bothways.connectors.postgres.store import Limits, PostgresStore, driver_of
from bothways.model.errors import Busy, MappingBroken
from bothways.state.journal import StoredJournal
from bothways.state.links import StoredLinks
from bothways.state.people import People
from bothways.state.schema import installation, require_current
from bothways.state.waiting import StoredCheckpoints, StoredWaiting
from bothways.sync.mapping import TableMap

MARKER_PREFIX = "bothways"
"""The prefix of the logical message that carries a transaction's origin."""


def random_id() -> str:
    """24 random hexadecimal digits."""
    return secrets.token_hex(12)


class PostgresTransaction:
    """``ports.Transaction``; ``people`` is what the command line looks at, in the same transaction."""

    def __init__(
        self,
        connection: AsyncConnection,
        driver: Driver,
        store: PostgresStore,
        tables: Tables,
        new_id: Callable[[], str],
        now: Callable[[], float],
        row_lock: float | None = None,
        by_triggers: bool = False,
    ) -> None:
        self._pipe = Pipe(driver)
        session = PostgresSession(connection, self._pipe)
        self.rows = self.search = PostgresRows(self._pipe, tables, row_lock=row_lock)
        self.links = self.index = self.references = self.overdue = StoredLinks(session, store.upserts, new_id)
        self.journal = StoredJournal(session, store.upserts, now)
        self.waiting = StoredWaiting(session, store.upserts)
        self.checkpoints = StoredCheckpoints(session, store.upserts)
        self.people = People(session)
        self._session = session
        self._by_triggers = by_triggers
        self._origin: tuple[str, str] | None = None
        self._afterwards: list[Callable[[], None]] = []

    async def mark(self, origin: str, cause: str) -> None:
        self._origin = (origin, cause)

    def afterwards(self, act: Callable[[], None]) -> None:
        self._afterwards.append(act)

    def told(self) -> None:
        """It is committed."""
        for act in self._afterwards:
            act()

    async def finish(self) -> None:
        """Commit, after the mark is written where capture sees it, if there is anything that it could be about.

        A transaction that only looked, with locks, is rolled back: its commit would wait for the disk, for nothing.
        """
        if not self.rows.wrote and not self._session.wrote:
            await self._pipe.rollback()
            return
        if self.rows.wrote and self._origin is not None:
            origin, cause = self._origin
            content = json.dumps({"origin": origin, "cause": cause}, separators=(",", ":"))
            if self._by_triggers:
                self._pipe.later(MARK, [content])
            else:
                self._pipe.later(_EMIT, [MARKER_PREFIX, content])
        await self._pipe.commit()


class PostgresCatalogue:
    """``ports.Catalogue``. Lives on one event loop; ``open`` before use, ``close`` at the end.

    ``new_id`` gives the tokens of new links, ``now`` unix seconds. ``by_triggers``: changes are captured by
    triggers, so that a transaction's origin goes into the outbox.
    """

    def __init__(
        self,
        url: str,
        tables: Sequence[TableMap],
        *,
        new_id: Callable[[], str] = random_id,
        now: Callable[[], float] = time.time,
        limits: Limits | None = None,
        by_triggers: bool = False,
    ) -> None:
        limits = limits or Limits()
        self._by_triggers = by_triggers
        self._row_lock = limits.row_lock
        self.store = PostgresStore(url, limits)
        """The state's store: for ``SharedPace``, ``Cleanup`` and what else works on the state alone."""
        self.tables = Tables(tables)
        self.now = now
        self._new_id = new_id

    async def open(self) -> None:
        """Make sure that the state's tables are there. Raises ``SettingsError`` where ``setup`` has to run first."""
        async with self.store.session() as connection:
            await require_current(connection)

    async def check(self) -> None:
        """Ask the server for nothing. Raises ``Unavailable`` where it does not answer."""
        async with self.store.session() as connection:
            await (await driver_of(connection)).execute(b"SELECT 1")

    async def close(self) -> None:
        """Let go of the connections."""
        await self.store.close()

    async def installation(self) -> str:
        """The random id of this installation, made by ``setup``."""
        async with self.store.session() as connection:
            return await installation(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        try:
            async with self.store.session() as connection:
                driver = await driver_of(connection)
                transaction = PostgresTransaction(
                    connection,
                    driver,
                    self.store,
                    self.tables,
                    self._new_id,
                    self.now,
                    self._row_lock,
                    self._by_triggers,
                )
                yield transaction
                await transaction.finish()
            transaction.told()
        except (MappingBroken, Busy):
            self.tables.forget()
            raise


_EMIT = b"SELECT pg_logical_emit_message(true, %s::text, %s::text)"
