"""A catalogue in memory: rows, state, locks, READ COMMITTED transactions, and a list of what was committed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from bothways.model.change import Operation
from bothways.model.errors import Busy, NotUnique, RowRefused
from bothways.model.link import Attempt, Link
from bothways.model.outcome import Conflict, DeadLetter, Parked
from bothways.model.record import RecordId, Row
from bothways.model.values import Value, Values
from tests.simulation.loop import door

_GONE = object()


@dataclass(frozen=True, slots=True)
class Table:
    """How one entity's rows are kept."""

    columns: tuple[str, ...]
    key: str = "id"
    unique: tuple[str, ...] = ()
    check: Callable[[str, Value], str | None] = lambda _column, _value: None
    """What is wrong with a value, if anything."""
    derive: Callable[[dict[str, Value]], None] = lambda _row: None
    """What the table's own triggers do to a row before it is stored."""


@dataclass(frozen=True, slots=True)
class Committed:
    """One row change of one transaction, in the order of commits."""

    record: RecordId
    operation: Operation
    before: Values | None
    after: Values | None
    origin: str | None
    cause: str | None
    at: float
    moved_from: str | None = None
    moved_to: str | None = None


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a transaction ends badly."""

    busy: float = 0.0
    """Fails before anything was done."""
    lost_commit: float = 0.0
    """Commits, but the answer is lost."""
    step_seconds: float = 0.002


class MemoryDatabase:
    """What survives every crash, shared by all processes."""

    def __init__(self, tables: Mapping[str, Table], chance: random.Random, new_id: Callable[[], str]) -> None:
        self.tables, self.chance, self.new_id = tables, chance, new_id
        self.data: dict[Hashable, Any] = {}
        self.locks: dict[Hashable, MemoryTransaction] = {}
        self.waiters: dict[Hashable, list[asyncio.Future[None]]] = {}
        self.wal: list[Committed] = []
        self.notes: list[Conflict | DeadLetter] = []
        self.faults = Faults()
        self.next_key = 1

    def release(self, tx: MemoryTransaction) -> None:
        """Let go of the transaction's locks, at its end or when its process dies."""
        for name in [n for n, owner in self.locks.items() if owner is tx]:
            del self.locks[name]
            for waiter in self.waiters.pop(name, []):
                if not waiter.done():
                    waiter.set_result(None)

    def select(self, kind: str) -> dict[Any, Any]:
        """Everything committed of one kind, by its key."""
        return {name[1:]: value for name, value in self.data.items() if isinstance(name, tuple) and name[0] == kind}


class MemoryCatalogue:
    """One process's connection to the database."""

    def __init__(self, database: MemoryDatabase, alive: Callable[[], bool] = lambda: True) -> None:
        self.database, self.alive = database, alive
        self.open: set[MemoryTransaction] = set()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """See ``ports.Catalogue``."""
        tx = MemoryTransaction(self)
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

    def kill(self) -> None:
        """The process is gone: what it had open is rolled back."""
        for tx in self.open:
            self.database.release(tx)
        self.open.clear()


LOCK_TIMEOUT_SECONDS = 5.0


class MemoryTransaction:
    """All sub-protocols of ``ports.Transaction`` in one object."""

    def __init__(self, catalogue: MemoryCatalogue) -> None:
        self.catalogue, self.db = catalogue, catalogue.database
        self.writes: dict[Hashable, Any] = {}
        self.changes: list[Committed] = []
        self.noted: list[Conflict | DeadLetter] = []
        self.origin: str | None = None
        self.cause: str | None = None
        self.rows = self.search = self.links = self.index = self.references = self
        self.journal = self.waiting = self.overdue = self.checkpoints = self

    # -------------------------------------------------------------------------------------------------- machinery

    async def step(self) -> None:
        """A round trip: anything may happen meanwhile; a dead process never comes back from one."""
        await asyncio.sleep(self.db.chance.random() * self.db.faults.step_seconds)
        await door(self.catalogue.alive())

    async def acquire(self, name: Hashable) -> None:
        """Lock a name until the end."""
        until = asyncio.get_running_loop().time() + LOCK_TIMEOUT_SECONDS
        while self.db.locks.get(name, self) is not self:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.db.waiters.setdefault(name, []).append(waiter)
            try:
                await asyncio.wait_for(waiter, until - asyncio.get_running_loop().time())
            except TimeoutError:
                raise Busy("lock time-out") from None
            await door(self.catalogue.alive())
        self.db.locks[name] = self

    def get(self, name: Hashable) -> Any:
        """This transaction's view of a value; None if there is none."""
        value = self.writes.get(name, self.db.data.get(name))
        return None if value is _GONE else value

    def select(self, kind: str) -> dict[Any, Any]:
        """This transaction's view of everything of a kind."""
        found = self.db.select(kind)
        for name, value in self.writes.items():
            if isinstance(name, tuple) and name[0] == kind:
                found[name[1:]] = value
        return {key: value for key, value in found.items() if value is not _GONE}

    def commit(self) -> None:
        """Everything at once."""
        for name, value in self.writes.items():
            if value is _GONE:
                self.db.data.pop(name, None)
            else:
                self.db.data[name] = value
        now = asyncio.get_running_loop().time()
        self.db.wal += [replace(c, origin=self.origin, cause=self.cause, at=now) for c in self.changes]
        self.db.notes += self.noted

    async def mark(self, origin: str, cause: str) -> None:
        """See the port."""
        self.origin, self.cause = origin, cause

    # ------------------------------------------------------------------------------------------------------- rows

    def _row(self, record: RecordId) -> Row | None:
        values = self.get(("row", record.entity, record.key))
        return None if values is None else Row(record.key, values)

    async def read(self, record: RecordId, *, lock: bool = False) -> Row | None:
        """See ``ports.Rows``."""
        await self.step()
        if lock:
            await self.acquire(("row", record.entity, record.key))
        return self._row(record)

    async def insert(self, entity: str, values: Values) -> Row:
        """See ``ports.Rows``."""
        await self.step()
        table = self.db.tables[entity]
        row: dict[str, Value] = dict.fromkeys(table.columns)
        row.update(values)
        if row.get(table.key) is None:
            row[table.key] = self.db.next_key
            self.db.next_key += 1
        key = json.dumps({table.key: row[table.key]}, separators=(",", ":"))
        record = RecordId(entity, key)
        await self.acquire(("row", entity, key))
        if self._row(record) is not None:
            raise NotUnique(f"there is a {record} already", constraint="primary key")
        self._check(entity, table, record, row, values)
        self._store(table, record, None, row)
        return Row(key, row)

    async def update(self, record: RecordId, values: Values) -> Row:
        """See ``ports.Rows``."""
        await self.step()
        await self.acquire(("row", record.entity, record.key))
        before = self._row(record)
        if before is None:
            raise RowRefused(f"there is no {record}")
        table = self.db.tables[record.entity]
        row = {**before.values, **values}
        self._check(record.entity, table, record, row, values)
        self._store(table, record, before.values, row)
        return Row(record.key, row)

    async def delete(self, record: RecordId) -> None:
        """See ``ports.Rows``."""
        await self.step()
        await self.acquire(("row", record.entity, record.key))
        before = self._row(record)
        if before is not None:
            self.writes["row", record.entity, record.key] = _GONE
            self.changes.append(Committed(record, Operation.DELETE, before.values, None, None, None, 0))

    async def move(self, record: RecordId, key: Value) -> RecordId:
        """Change the primary key, as an application may: one deletion and one creation that name each other."""
        table = self.db.tables[record.entity]
        new = RecordId(record.entity, json.dumps({table.key: key}, separators=(",", ":")))
        for each in (record, new):
            await self.acquire(("row", each.entity, each.key))
        row = self._row(record)
        if row is None or self._row(new) is not None:
            raise NotUnique("no such row, or the key is taken")
        after = {**row.values, table.key: key}
        self.writes["row", record.entity, record.key] = _GONE
        self.writes["row", new.entity, new.key] = after
        self.changes.append(Committed(record, Operation.DELETE, row.values, None, None, None, 0, moved_to=new.key))
        self.changes.append(Committed(new, Operation.CREATE, None, after, None, None, 0, moved_from=record.key))
        return new

    def _check(self, entity: str, table: Table, record: RecordId, row: dict[str, Value], values: Values) -> None:
        for column, value in values.items():
            wrong = table.check(column, value)
            if wrong:
                raise RowRefused(wrong, field=column)
        table.derive(row)
        for column in table.unique:
            for (other, key), there in self.select("row").items():
                if other == entity and key != record.key and row[column] is not None and there[column] == row[column]:
                    raise NotUnique(f"{column} is taken", constraint=column)

    def _store(self, table: Table, record: RecordId, before: Values | None, row: dict[str, Value]) -> None:
        self.writes["row", record.entity, record.key] = row
        operation = Operation.CREATE if before is None else Operation.UPDATE
        self.changes.append(Committed(record, operation, before, dict(row), None, None, 0))

    async def find(self, entity: str, equal: Values, *, limit: int = 2) -> Sequence[Row]:
        """See ``ports.RowSearch``."""
        await self.step()
        found = [
            Row(key, values)
            for (of, key), values in self.select("row").items()
            if of == entity and all(values[c] == v for c, v in equal.items())
        ]
        return sorted(found, key=lambda row: row.key)[:limit]

    async def page(self, entity: str, after: str | None, limit: int) -> Sequence[Row]:
        """See ``ports.RowSearch``."""
        await self.step()
        name = self.db.tables[entity].key
        rows = [Row(key, values) for (of, key), values in self.select("row").items() if of == entity]
        start = json.loads(after)[name] if after is not None else None
        place: Callable[[Row], Any] = lambda row: row.values[name]  # noqa: E731 - it has a type of its own
        return sorted((row for row in rows if start is None or place(row) > start), key=place)[:limit]

    # ------------------------------------------------------------------------------------------------------ links

    async def claim(self, record: RecordId, system: str) -> Link:
        """See ``ports.Links``."""
        link = await self.lock(record, system)
        if link is None:
            link = Link(record, system, self.db.new_id())
            self.writes["link", system, record.entity, record.key] = link
        return link

    async def lock(self, record: RecordId, system: str) -> Link | None:
        """See ``ports.Links``."""
        await self.step()
        name = ("link", system, record.entity, record.key)
        await self.acquire(name)
        found: Link | None = self.get(name)
        return found

    async def save(self, link: Link) -> None:
        """See ``ports.Links``."""
        await self.step()
        self.writes["link", link.system, link.record.entity, link.record.key] = link

    async def remove(self, link: Link) -> None:
        """See ``ports.Links``."""
        await self.step()
        self.writes["link", link.system, link.record.entity, link.record.key] = _GONE

    async def _where(self, test: Callable[[Link], bool]) -> Link | None:
        await self.step()
        while True:
            found = [link for link in self.select("link").values() if test(link)]
            if not found:
                return None
            await self.acquire(("link", found[0].system, found[0].record.entity, found[0].record.key))
            now = self.get(("link", found[0].system, found[0].record.entity, found[0].record.key))
            if now is not None and test(now):
                link: Link = now
                return link

    async def by_remote(self, system: str, entity: str, remote_id: str) -> Link | None:
        """See ``ports.LinkIndex``."""
        return await self._where(
            lambda link: (link.system, link.record.entity, link.remote_id) == (system, entity, remote_id)
        )

    async def by_token(self, system: str, token: str) -> Link | None:
        """See ``ports.LinkIndex``."""
        return await self._where(lambda link: (link.system, link.token) == (system, token))

    async def retire(self, system: str, entity: str, remote_id: str) -> None:
        """See ``ports.LinkIndex``."""
        self.writes["retired", system, entity, remote_id] = True

    async def is_retired(self, system: str, entity: str, remote_id: str) -> bool:
        """See ``ports.LinkIndex``."""
        await self.step()
        return self.get(("retired", system, entity, remote_id)) is not None

    async def remote_id(self, record: RecordId, system: str) -> str | None:
        """See ``ports.References``."""
        await self.step()
        link: Link | None = self.get(("link", system, record.entity, record.key))
        return link.remote_id if link is not None and not link.deleted else None

    async def record(self, system: str, entity: str, remote_id: str) -> RecordId | None:
        """See ``ports.References``."""
        await self.step()
        for link in self.select("link").values():
            if (link.system, link.record.entity, link.remote_id) == (system, entity, remote_id):
                known: RecordId = link.record
                return known
        return None

    # ---------------------------------------------------------------------------------------------------- journal

    async def record_attempt(self, attempt: Attempt) -> None:
        """See ``ports.Journal``."""
        await self.step()
        self.writes["attempt", attempt.key] = attempt

    async def attempt(self, key: str) -> Attempt | None:
        """See ``ports.Journal``."""
        await self.step()
        found: Attempt | None = self.get(("attempt", key))
        return found

    async def see(self, system: str, event_id: str) -> bool:
        """See ``ports.Journal``."""
        await self.step()
        await self.acquire(("seen", system, event_id))
        if self.get(("seen", system, event_id)):
            return False
        self.writes["seen", system, event_id] = True
        return True

    async def note(self, entry: Conflict | DeadLetter) -> None:
        """See ``ports.Journal``."""
        self.noted.append(entry)

    # ---------------------------------------------------------------------------------------------------- waiting

    async def park(self, parked: Parked) -> None:
        """See ``ports.Waiting``."""
        await self.step()
        self.writes["parked", parked.id] = parked

    async def wake(self, name: str) -> None:
        """See ``ports.Waiting``."""
        for (parked_id,), parked in self.select("parked").items():
            if parked.waits_on == name:
                self.writes["parked", parked_id] = replace(parked, due=0.0)

    async def take_due(self, now: float, limit: int, lease: float) -> Sequence[Parked]:
        """See ``ports.Waiting``."""
        await self.step()
        due: list[Parked] = []
        for (parked_id,), parked in self.select("parked").items():
            free = self.db.locks.get(("parked", parked_id), self) is self
            if len(due) < limit and free and parked.due is not None and parked.due <= now:
                await self.acquire(("parked", parked_id))
                self.writes["parked", parked_id] = replace(parked, due=now + lease)
                due.append(parked)
        return due

    async def unpark(self, parked_id: str) -> None:
        """See ``ports.Waiting``."""
        await self.step()
        self.writes["parked", parked_id] = _GONE

    async def take_overdue(self, now: float, limit: int, lease: float) -> Sequence[tuple[RecordId, str]]:
        """See ``ports.Overdue``."""
        await self.step()
        taken: list[tuple[RecordId, str]] = []
        for (system, entity, key), link in self.select("link").items():
            name = ("link", system, entity, key)
            if len(taken) < limit and link.due is not None and link.due <= now and name not in self.db.locks:
                await self.acquire(name)
                self.writes[name] = replace(link, due=now + lease)
                taken.append((link.record, system))
        return taken

    async def load(self, name: str) -> Value:
        """See ``ports.Checkpoints``."""
        await self.step()
        value: Value = self.get(("checkpoint", name))
        return value

    async def store(self, name: str, value: Value) -> None:
        """See ``ports.Checkpoints``."""
        await self.step()
        self.writes["checkpoint", name] = value
