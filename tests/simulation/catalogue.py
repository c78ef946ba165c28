"""A catalogue in memory: the connection of one process to the database that all share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bothways.model.errors import Busy
from tests.simulation.database import Committed, Faults, MemoryDatabase, Table
from tests.simulation.rows import RowsPart
from tests.simulation.state import JournalPart, LinksPart, WaitingPart

__all__ = ["Committed", "Faults", "MemoryCatalogue", "MemoryDatabase", "MemoryTransaction", "Table"]


class MemoryTransaction(RowsPart, LinksPart, JournalPart, WaitingPart):
    """All sub-protocols of ``ports.Transaction`` in one object."""

    def __init__(self, database: MemoryDatabase, alive: Callable[[], bool]) -> None:
        super().__init__(database, alive)
        self.rows = self.search = self.links = self.index = self.references = self
        self.journal = self.waiting = self.overdue = self.checkpoints = self


class MemoryCatalogue:
    """One process's connection to the database."""

    def __init__(self, database: MemoryDatabase, alive: Callable[[], bool] = lambda: True) -> None:
        self.database, self.alive = database, alive
        self.open: set[MemoryTransaction] = set()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """See ``ports.Catalogue``."""
        tx = MemoryTransaction(self.database, self.alive)
        await tx.step()
        if self.database.chance.random() < self.database.faults.busy:
            raise Busy("the connection was lost")
        self.open.add(tx)
        try:
            yield tx
            await tx.step()
            tx.commit()
        finally:
            self.open.discard(tx)
            self.database.release(tx)
        if self.database.chance.random() < self.database.faults.lost_commit:
            raise Busy("the connection was lost while committing")
        for act in tx.acts:
            act()

    def kill(self) -> None:
        """The process is gone: what it had open is rolled back."""
        for tx in self.open:
            self.database.release(tx)
        self.open.clear()
