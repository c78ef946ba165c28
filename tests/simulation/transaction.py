"""What all parts of a transaction in memory share: its view, its locks, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bothways.model.errors import Busy
from bothways.model.outcome import Conflict, DeadLetter
from tests.simulation.database import GONE, Committed, MemoryDatabase, Name
from tests.simulation.loop import door

LOCK_TIMEOUT_SECONDS = 5.0


class Core:
    """READ COMMITTED: its own writes over what is committed."""

    def __init__(self, database: MemoryDatabase, alive: Callable[[], bool]) -> None:
        self.db, self.alive = database, alive
        self.writes: dict[Name, Any] = {}
        self.held: set[Name] = set()
        self.changes: list[Committed] = []
        self.noted: list[Conflict | DeadLetter] = []
        self.acts: list[Callable[[], None]] = []
        self.origin: str | None = None
        self.cause: str | None = None

    async def step(self) -> None:
        """A round trip: anything may happen meanwhile; a dead process never comes back from one."""
        await asyncio.sleep(self.db.chance.random() * self.db.faults.step_seconds)
        await door(self.alive())

    async def acquire(self, name: Name) -> None:
        """Lock a name until the end."""
        until = asyncio.get_running_loop().time() + LOCK_TIMEOUT_SECONDS
        while self.db.locks.get(name, self) is not self:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.db.waiters.setdefault(name, []).append(waiter)
            try:
                await asyncio.wait_for(waiter, until - asyncio.get_running_loop().time())
            except TimeoutError:
                raise Busy("lock time-out") from None
            await door(self.alive())
        self.db.locks[name] = self
        self.held.add(name)

    def get(self, name: Name) -> Any:
        """This transaction's view of a value; None if there is none."""
        if name in self.writes:
            value = self.writes[name]
            return None if value is GONE else value
        return self.db.get(name)

    def select(self, kind: str) -> Mapping[Name, Any]:
        """This transaction's view of everything of a kind."""
        own = {name[1:]: value for name, value in self.writes.items() if name[0] == kind}
        there = self.db.select(kind)
        if not own:
            return dict(there)
        return {name: value for name, value in {**there, **own}.items() if value is not GONE}

    def commit(self) -> None:
        """Everything at once. As in the real state, no two links have one object."""
        self._check_links()
        for name, value in self.writes.items():
            self.db.put(name, value)
        now = asyncio.get_running_loop().time()
        self.db.notes += self.noted
        self.db.commit([replace(c, origin=self.origin, cause=self.cause, at=now) for c in self.changes])

    def _check_links(self) -> None:
        written = {name[1:]: link for name, link in self.writes.items() if name[0] == "link" and link is not GONE}
        ids = {(link.system, link.record.entity, link.remote_id): name for name, link in written.items()}
        for name, link in self.db.select("link").items() if written else ():
            mine = ids.get((link.system, link.record.entity, link.remote_id))
            if link.remote_id is not None and mine not in (None, name) and ("link", *name) not in self.writes:
                raise Busy("another transaction linked the same object a moment ago")

    def afterwards(self, act: Callable[[], None]) -> None:
        """See the port."""
        self.acts.append(act)

    async def mark(self, origin: str, cause: str) -> None:
        """See the port."""
        self.origin, self.cause = origin, cause
