"""The parts that delivery works with, in memory: real transactions and a real remote's ways, without a wait."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import count

from bothways.flow.context import Context, Patience
from bothways.model.outcome import DeadLetter
from bothways.model.record import RecordId
from bothways.model.values import Value
from bothways.sync.mapping import EntityMapping
from tests.simulation.catalogue import Faults, MemoryCatalogue, MemoryDatabase, Table
from tests.simulation.remote import MemoryRemote, MemoryService, RemoteFaults

SYSTEM = "stripe"
RECORD = RecordId("customer", '{"id":1}')
PATIENCE = Patience(retries=0.05, first=0.001, most=0.002, forbidden=0.001, attempt_ends=0.05, other_worker=0.05)


class Clock:
    """Wall time that a test sets."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time


class Parts:
    """One database, one remote, one process."""

    def __init__(self, mapping: EntityMapping, table: Table, *more: EntityMapping) -> None:
        numbers = count(1)
        new_id: Callable[[], str] = lambda: f"id{next(numbers)}"  # noqa: E731 - it has a type of its own
        chance = random.Random(1)
        tables = {each.entity: table for each in (mapping, *more)}
        self.database = MemoryDatabase(tables, chance, new_id)
        self.database.faults = Faults(step_seconds=0)
        self.service = MemoryService(SYSTEM, chance, lambda _path, value: value)
        self.service.faults = RemoteFaults(latency_seconds=0)
        self.catalogue = MemoryCatalogue(self.database)
        self.remote = MemoryRemote(self.service)
        self.clock = Clock()
        self.mapping = mapping
        self.context = Context(
            catalogue=self.catalogue,
            remotes={SYSTEM: self.remote},
            mappings={(each.entity, each.system): each for each in (mapping, *more)},
            installation="here",
            clock=self.clock,
            new_id=new_id,
            random=chance,
            patience=PATIENCE,
        )

    async def insert(self, **values: Value) -> RecordId:
        """A row, committed."""
        async with self.catalogue.transaction() as tx:
            row = await tx.rows.insert("customer", values)
        return RecordId("customer", row.key)

    def row(self, record: RecordId = RECORD) -> dict[str, Value]:
        """The row as it is committed."""
        values: dict[str, Value] = self.database.get(("row", record.entity, record.key))
        return values

    @property
    def letters(self) -> Sequence[DeadLetter]:
        """Those that were noted."""
        return [note for note in self.database.notes if isinstance(note, DeadLetter)]
