"""Directed histories: the same world, with nothing left to chance but the order of what happens at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bothways.model.change import Operation
from bothways.model.link import Link
from bothways.model.record import RecordId
from bothways.model.values import Value
from bothways.sync.mapping import lookup
from tests.simulation.database import Committed, Faults
from tests.simulation.lineage import DATABASE
from tests.simulation.loop import VirtualLoop
from tests.simulation.people import record_of
from tests.simulation.plan import Plan
from tests.simulation.remote import MemoryService, RemoteFaults, Thing
from tests.simulation.schema import CUSTOMER, PATHS
from tests.simulation.world import World, in_virtual_time

LATENCY_SECONDS = 0.02


class Stage:
    """What a director can do. Webhooks come only when they are sent; at the end all that is left is polled."""

    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        calm = replace(plan, hooks=(0,), catalogue=Faults(), remote=RemoteFaults(latency_seconds=LATENCY_SECONDS))
        self.world = World(0, calm, loop)
        self.stripe: MemoryService = self.world.services["stripe"]
        self.judged = False
        """The scene has looked at everything itself."""

    async def rest(self, seconds: float = 1.0) -> None:
        """Let things take their course for a while."""
        await asyncio.sleep(seconds)

    def _commit(self, *changes: Committed) -> None:
        self.world.people._commit(*changes)

    def row(self, record: RecordId) -> dict[str, Value]:
        """The row as it is."""
        values: dict[str, Value] = self.world.database.get(("row", record.entity, record.key))
        return values

    def insert(self, key: int, entity: str = CUSTOMER, **values: Value) -> RecordId:
        """Somebody inserts a row."""
        kind, record = self.world.kinds[entity], record_of(entity, key)
        row = {**dict.fromkeys(kind.table.columns), "id": key, **{c: f"{c}{key}" for c in kind.edited}, **values}
        kind.table.derive(row)
        self.world.database.next_key = max(self.world.database.next_key, key + 1)
        self._commit(Committed(record, Operation.CREATE, None, row))
        return record

    def update(self, record: RecordId, column: str, value: str) -> None:
        """Somebody edits a row."""
        before = self.row(record)
        after = {**before, column: value}
        self.world.lineage.edit(DATABASE, column, before[column], value, self.world.loop.time())
        self.world.kinds[record.entity].table.derive(after)
        self._commit(Committed(record, Operation.UPDATE, before, after))

    def delete(self, record: RecordId) -> None:
        """Somebody deletes a row."""
        self._commit(Committed(record, Operation.DELETE, self.row(record), None))

    def replace(self, record: RecordId) -> None:
        """``REPLACE INTO`` with the same values."""
        before = self.row(record)
        self._commit(
            Committed(record, Operation.DELETE, before, None), Committed(record, Operation.CREATE, None, before)
        )

    def move(self, record: RecordId, key: int) -> RecordId:
        """Somebody changes a primary key."""
        self.world.database.next_key = key
        self.world.people._move_row(record, self.row(record))
        return record_of(record.entity, key)

    def make(self, kind: str = CUSTOMER, **values: Value) -> Thing:
        """Somebody creates an object by hand."""
        return self.stripe.make(kind, {PATHS[column]: value for column, value in values.items()}, None, None)

    def edit(self, thing: Thing, column: str, value: str) -> None:
        """Somebody edits an object by hand."""
        path = PATHS[column]
        self.world.lineage.edit("stripe", column, lookup(thing.document, path), value, self.world.loop.time())
        self.stripe.change(thing, {path: value}, None)

    def send(self, which: int = -1) -> None:
        """A webhook: the last event unless another is meant."""
        self.world.spawn(self.world._webhook("stripe", self.stripe.events[which], 0.0))

    def thing(self, record: RecordId) -> Thing:
        """The object that the row is linked to."""
        link = self.link(record)
        assert link.remote_id is not None, f"{record} is not linked"
        return self.stripe.things[link.remote_id]

    def link(self, record: RecordId) -> Link:
        """The record's link."""
        link: Link | None = self.world.database.get(("link", "stripe", record.entity, record.key))
        assert link is not None, f"{record} has no link"
        return link


Scene = Callable[[Stage], Awaitable[str | None]]
"""A directed history; it may say itself what is wrong, before the oracle looks."""


def play(scene: Scene, plan: Plan | None = None, workers: int = 1, seed: int = 1) -> str | None:
    """What is wrong at the end of the scene, or None."""

    async def run(loop: VirtualLoop) -> str | None:
        stage = Stage(plan or Plan(), loop)
        await stage.world.begin(workers)
        try:
            wrong = await scene(stage)
            return wrong if wrong or stage.judged else await stage.world.settle()
        except AssertionError as error:
            return str(error)

    return in_virtual_time(seed, run)
