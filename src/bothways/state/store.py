"""What the state needs of a database: transactions, and the statements that each database spells its own way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from sqlalchemy import ColumnElement, CursorResult, Executable, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert


class Upserts(Protocol):
    """Inserts that meet a row with the same primary key, and a lock. Values are given when they are executed."""

    @property
    def lock(self) -> Executable:
        """Wait for the lock of the name ``p_name``, and hold it until the transaction ends."""
        ...

    def insert_new(self, table: Table) -> Insert:
        """Insert, or do nothing where there is such a row: ``rowcount`` tells (1 or 0).

        Waits for another transaction that has inserted it and is not at its end.
        """
        ...

    def insert_or_replace(self, table: Table) -> Insert:
        """Insert, or set every other column of the row that is there."""
        ...


class Session(Protocol):
    """One transaction, as the state's parts use it. Statements that are not given to ``execute`` are built once."""

    async def one(self, statement: Executable, parameters: Mapping[str, Any], /) -> Mapping[str, Any] | None:
        """The only row that it gives, by its columns' names; None for none."""
        ...

    async def changed(self, statement: Executable, parameters: Mapping[str, Any], /) -> int:
        """Execute it; how many rows it changed."""
        ...

    async def write(self, statement: Executable, parameters: Mapping[str, Any], /) -> None:
        """Execute it in this order, at the latest before the commit: an error may come from what follows it."""
        ...

    async def execute(self, statement: Executable, parameters: Any = None, /) -> CursorResult[Any]:
        """Execute one statement, with one set of parameters or a list of them."""
        ...


class Store(Protocol):
    """Where the state lives."""

    @property
    def upserts(self) -> Upserts: ...
    @property
    def clock(self) -> ColumnElement[float]:
        """The database's clock in unix seconds, read when the expression is worked out."""
        ...

    def session(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A READ COMMITTED transaction: commits at the end, rolls back when an exception leaves it.

        Lock and statement time-outs, deadlocks and lost connections come out as ``Busy``.
        """
        ...
