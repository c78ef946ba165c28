"""What survives every crash: rows, state and locks of a database in memory, and what was committed, in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bothways.model.change import Operation
from bothways.model.outcome import Conflict, DeadLetter
from bothways.model.record import RecordId
from bothways.model.values import Value, Values

if TYPE_CHECKING:
    from tests.simulation.transaction import Core

Name = tuple[str, ...]
"""Of a stored thing or a lock; its first word is its kind."""

GONE = object()
"""Written over what a transaction takes away."""


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
    origin: str | None = None
    cause: str | None = None
    at: float = 0.0
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
    """Shared by all processes."""

    def __init__(self, tables: Mapping[str, Table], chance: random.Random, new_id: Callable[[], str]) -> None:
        self.tables, self.chance, self.new_id = tables, chance, new_id
        self.kinds: dict[str, dict[Name, Any]] = {}
        self.locks: dict[Name, Core] = {}
        self.waiters: dict[Name, list[asyncio.Future[None]]] = {}
        self.wal: list[Committed] = []
        self.notes: list[Conflict | DeadLetter] = []
        self.faults = Faults()
        self.next_key = 1
        self.on_commit: Callable[[], None] = lambda: None

    def get(self, name: Name) -> Any:
        """What is committed under this name; None if nothing is."""
        return self.kinds.get(name[0], {}).get(name[1:])

    def put(self, name: Name, value: Any) -> None:
        """Commit it; ``GONE`` takes it away."""
        kind = self.kinds.setdefault(name[0], {})
        if value is GONE:
            kind.pop(name[1:], None)
        else:
            kind[name[1:]] = value

    def select(self, kind: str) -> Mapping[Name, Any]:
        """Everything committed of one kind, by the rest of its name."""
        return self.kinds.get(kind, {})

    def commit(self, changes: list[Committed]) -> None:
        """Something changed; capture sees the rows."""
        self.wal += changes
        self.on_commit()

    def release(self, tx: Core) -> None:
        """Let go of the transaction's locks, at its end or when its process dies."""
        for name in tx.held:
            del self.locks[name]
            for waiter in self.waiters.pop(name, []):
                if not waiter.done():
                    waiter.set_result(None)
        tx.held.clear()
