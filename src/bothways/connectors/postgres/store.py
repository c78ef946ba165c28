"""Connections to the catalogue, and transactions on them."""

from __future__ import annotations

import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, Double, Executable, Table, Text, bindparam, cast, extract, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.dml import Insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bothways.connectors.postgres.errors import transaction_error
from bothways.connectors.postgres.reaching import reach
from bothways.connectors.postgres.session import require_sound
from bothways.connectors.postgres.values import SESSION


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the database one process takes. Times in seconds."""

    connections: int = 10
    connect: float = 10.0
    lock: float = 5.0
    """How long a statement waits for a lock."""
    row_lock: float | None = None
    """The same for a row of the user's that is read to be written; None: as long. Whoever waits has a connection."""
    statement: float = 30.0
    """0: as long as it takes."""
    idle: float = 60.0
    """How long a transaction may stand still: its process hangs, or is gone without the server knowing."""
    wait: float = 30.0
    """How long a transaction waits for a connection."""


class PostgresUpserts:
    """``state.store.Upserts``. Two names with the same hash share a lock, which only makes one of them wait."""

    def __init__(self) -> None:
        name = func.hashtextextended(bindparam("p_name", type_=Text), 0)
        self.lock: Executable = select(func.pg_advisory_xact_lock(name))

    @cache  # noqa: B019 - one instance per process, and the tables are few
    def insert_new(self, table: Table) -> Insert:
        statement = insert(table).on_conflict_do_nothing(index_elements=list(table.primary_key))
        return statement.execution_options(preserve_rowcount=True)

    @cache  # noqa: B019 - as above
    def insert_or_replace(self, table: Table) -> Insert:
        statement = insert(table)
        others = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=others)


class PostgresStore:
    """``state.store.Store``: a pool of connections to one database."""

    def __init__(self, url: str, limits: Limits) -> None:
        self._url, self._limits = url, limits
        self.upserts = PostgresUpserts()
        self.clock: ColumnElement[float] = cast(extract("epoch", func.clock_timestamp()), Double)
        self._engine: AsyncEngine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=self._connect,
            pool_size=limits.connections,
            max_overflow=0,
            pool_timeout=limits.wait,
            pool_use_lifo=True,
            use_native_hstore=False,
        )

    async def close(self) -> None:
        """Let go of all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                try:
                    yield connection
                    await _commit(connection)
                except BaseException:
                    await _discard_if_broken(connection)
                    raise
        except Exception as error:
            told = transaction_error(error)
            if told is not None:
                raise told from error
            raise

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        connection = await reach(self._url, timeout=max(1, round(self._limits.connect)))
        try:
            settings = "; ".join(f"SET {name} = '{value}'" for name, value in self._settings())
            await connection.execute(settings.encode(), prepare=False)
            await connection.set_autocommit(False)
            await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
        except BaseException:
            await connection.close()
            raise
        return connection

    def _settings(self) -> list[tuple[str, str]]:
        times = {
            "lock_timeout": self._limits.lock,
            "statement_timeout": self._limits.statement,
            "idle_in_transaction_session_timeout": self._limits.idle,
        }
        return [*SESSION.items(), *((name, f"{round(seconds * 1000)}ms") for name, seconds in times.items())]


async def driver_of(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """The driver's own connection."""
    raw = await connection.get_raw_connection()
    return typing.cast(psycopg.AsyncConnection[Any], raw.driver_connection)


async def _commit(connection: AsyncConnection) -> None:
    driver = await driver_of(connection)
    require_sound(driver)
    # Not by SQLAlchemy, which knows of no transaction where only the driver was used.
    await driver.commit()


async def _discard_if_broken(connection: AsyncConnection) -> None:
    """Statements that go past SQLAlchemy may have found out that the connection is lost."""
    if connection.closed or connection.invalidated:
        return
    driver = await driver_of(connection)
    if driver.closed:
        await connection.invalidate()
