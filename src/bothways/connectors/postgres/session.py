"""One transaction's statements, in as few round trips as can be.

What is written without a question waits, and goes along with the commit (libpq's pipeline mode). Statements that are
built once are compiled once, and given to the driver as they are: SQLAlchemy's own way to the server takes longer than
the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import CursorResult, Executable
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import CompilerElement

from bothways.model.errors import Busy

Driver = psycopg.AsyncConnection[Any]
Cursor = psycopg.AsyncCursor[Any]
Query = tuple[bytes, Sequence[Any] | None]

_DIALECT = PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]  # SQLAlchemy has none


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as the driver takes it."""

    text: bytes
    names: tuple[str, ...]
    """Of its parameters, in the order of their places."""
    constants: Mapping[str, Any]
    """What stands in the statement itself."""
    columns: tuple[str, ...]
    """Of the result."""

    def given(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The parameters in the order of their places."""
        return [parameters[name] if name in parameters else self.constants[name] for name in self.names]


@lru_cache(maxsize=200)
def compiled(statement: Executable, names: frozenset[str]) -> Compiled:
    """The statement with parameters of these names. Meant for statements that are built once: it is kept."""
    assert isinstance(statement, CompilerElement)
    found = statement.compile(dialect=_DIALECT, column_keys=sorted(names))
    assert isinstance(found, SQLCompiler), "a statement, not a definition"
    columns = tuple(str(each.keyname) for each in found._result_columns)
    constants = {name: value for name, value in found.params.items() if name not in names}
    return Compiled(str(found).encode(), tuple(found.positiontup or ()), constants, columns)


class Pipe:
    """A connection's statements: those that can wait, and those whose answers are needed.

    Only the end of a transaction is sent as a pipeline: in the middle of one, PostgreSQL 18 was seen not to end it for
    standing idle any more.
    """

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._waiting: list[Query] = []

    def later(self, text: bytes, parameters: Sequence[Any] | None = None) -> None:
        """Execute it before the next statement, or together with the commit; its failure is the transaction's."""
        self._waiting.append((text, parameters))

    async def now(self, text: bytes, parameters: Sequence[Any] | None = None) -> Cursor:
        """Execute what waits, then this. An error may be of either."""
        await self.flush()
        return await self.driver.execute(text, parameters)

    async def flush(self) -> None:
        """Execute what waits, so that an error of the next statement is its own."""
        waiting, self._waiting = self._waiting, []
        for text, parameters in waiting:
            await self.driver.execute(text, parameters)

    async def commit(self) -> None:
        """Execute what waits, and commit. Raises ``Busy`` where the transaction has failed already."""
        require_sound(self.driver)
        if not self._waiting:
            await self.driver.commit()
            return
        async with self.driver.pipeline():
            await self.flush()
            await self.driver.commit()

    async def rollback(self) -> None:
        """Forget what waits, and end."""
        self._waiting.clear()
        await self.driver.rollback()


def require_sound(driver: Driver) -> None:
    """Raise ``Busy`` where a statement has failed: the server would answer COMMIT by rolling back, without an error."""
    if driver.pgconn.transaction_status == TransactionStatus.INERROR:
        raise Busy("an error inside the transaction was not passed on; nothing of it was committed")


class PostgresSession:
    """``state.store.Session`` over a pipe, and over SQLAlchemy for what is built as it is needed."""

    def __init__(self, connection: AsyncConnection, pipe: Pipe) -> None:
        self._connection, self._pipe = connection, pipe
        self.wrote = False
        """Whether anything was written; locks are nothing written."""

    async def one(self, statement: Executable, parameters: Mapping[str, Any], /) -> Mapping[str, Any] | None:
        found = compiled(statement, frozenset(parameters))
        cursor = await self._pipe.now(found.text, found.given(parameters))
        row = await cursor.fetchone()
        return None if row is None else dict(zip(found.columns, row, strict=True))

    async def changed(self, statement: Executable, parameters: Mapping[str, Any], /) -> int:
        self.wrote = True
        found = compiled(statement, frozenset(parameters))
        return (await self._pipe.now(found.text, found.given(parameters))).rowcount

    async def write(self, statement: Executable, parameters: Mapping[str, Any], /) -> None:
        self.wrote = True
        found = compiled(statement, frozenset(parameters))
        self._pipe.later(found.text, found.given(parameters))

    async def execute(self, statement: Executable, parameters: Any = None, /) -> CursorResult[Any]:
        self.wrote = self.wrote or bool(statement.is_dml)
        await self._pipe.flush()
        return await self._connection.execute(statement, parameters)
