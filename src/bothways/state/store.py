"""What the state needs of a database: transactions, and the two statements that each database spells its own way."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert


class Upserts(Protocol):
    """Inserts that meet a row with the same primary key. Values are given when the statement is executed."""

    def insert_new(self, table: Table) -> Insert:
        """Insert, or do nothing where there is such a row: ``rowcount`` tells (1 or 0).

        Waits for another transaction that has inserted it and is not at its end.
        """
        ...

    def insert_or_replace(self, table: Table) -> Insert:
        """Insert, or set every other column of the row that is there."""
        ...


class Store(Protocol):
    """Where the state lives."""

    @property
    def upserts(self) -> Upserts: ...

    def session(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A READ COMMITTED transaction: commits at the end, rolls back when an exception leaves it.

        Lock and statement time-outs, deadlocks and lost connections come out as ``Busy``.
        """
        ...
