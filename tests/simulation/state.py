"""The sync's state in memory: links, journal, what waits, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bothways.model.link import Attempt, Link
from bothways.model.outcome import Conflict, DeadLetter, Parked
from bothways.model.record import RecordId
from bothways.model.values import Value
from tests.simulation.database import GONE, Name
from tests.simulation.transaction import Core


def _name(link: Link) -> Name:
    return ("link", link.system, link.record.entity, link.record.key)


class LinksPart(Core):
    """``ports.Links``, ``ports.LinkIndex`` and ``ports.References``."""

    async def claim(self, record: RecordId, system: str) -> Link:
        """See ``ports.Links``."""
        link = await self.lock(record, system)
        if link is None:
            link = Link(record, system, self.db.new_id())
            self.writes[_name(link)] = link
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
        self.writes[_name(link)] = link

    async def remove(self, link: Link) -> None:
        """See ``ports.Links``."""
        await self.step()
        self.writes[_name(link)] = GONE

    async def _where(self, test: Callable[[Link], bool]) -> Link | None:
        await self.step()
        while True:
            found = next((link for link in self.select("link").values() if test(link)), None)
            if found is None:
                return None
            await self.acquire(_name(found))
            now = self.get(_name(found))
            if now is not None and test(now):
                link: Link = now
                return link

    async def by_remote(self, system: str, entity: str, remote_id: str) -> Link | None:
        """See ``ports.LinkIndex``."""
        return await self._where(
            lambda link: link.remote_id == remote_id and link.system == system and link.record.entity == entity
        )

    async def by_token(self, system: str, token: str) -> Link | None:
        """See ``ports.LinkIndex``."""
        return await self._where(lambda link: link.token == token and link.system == system)

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


class JournalPart(Core):
    """``ports.Journal`` and ``ports.Checkpoints``."""

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

    async def was_seen(self, system: str, event_id: str) -> bool:
        """See ``ports.Journal``."""
        await self.step()
        return self.db.get(("seen", system, event_id)) is not None

    async def note(self, entry: Conflict | DeadLetter) -> None:
        """See ``ports.Journal``."""
        self.noted.append(entry)

    async def load(self, name: str) -> Value:
        """See ``ports.Checkpoints``."""
        await self.step()
        value: Value = self.get(("checkpoint", name))
        return value

    async def hold(self, name: str, *, shared: bool = False) -> Value:
        """See ``ports.Checkpoints``; nobody shares here."""
        await self.step()
        await self.acquire(("checkpoint", name))
        value: Value = self.get(("checkpoint", name))
        return value

    async def store(self, name: str, value: Value) -> None:
        """See ``ports.Checkpoints``."""
        await self.step()
        self.writes["checkpoint", name] = value


class WaitingPart(Core):
    """``ports.Waiting`` and ``ports.Overdue``."""

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
        self.writes["parked", parked_id] = GONE

    async def take_overdue(self, now: float, limit: int, lease: float) -> Sequence[tuple[RecordId, str]]:
        """See ``ports.Overdue``."""
        await self.step()
        taken: list[tuple[RecordId, str]] = []
        for link in self.select("link").values():
            if len(taken) < limit and link.due is not None and link.due <= now and _name(link) not in self.db.locks:
                await self.acquire(_name(link))
                self.writes[_name(link)] = replace(link, due=now + lease)
                taken.append((link.record, link.system))
        return taken
