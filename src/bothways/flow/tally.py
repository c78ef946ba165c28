"""Counting what was really done: a catalogue and a remote that do what theirs do, and keep count of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields

from bothways.flow.context import RemoteSystem
from bothways.flow.scanning import FRESH_SECONDS, Scanned
from bothways.model.link import Attempt, Call, Link
from bothways.model.outcome import Conflict, DeadLetter
from bothways.model.record import RecordId, Row
from bothways.model.remote import Answer
from bothways.model.values import Value, Values
from bothways.ports import (
    Catalogue,
    Checkpoints,
    Journal,
    LinkIndex,
    Links,
    Overdue,
    References,
    Rows,
    RowSearch,
    Transaction,
    Waiting,
)


@dataclass(slots=True)
class Tally:
    """How much was done. There is no count of deletions: there are none."""

    linked: int = 0
    """Rows and objects that were both there, and are one record now."""
    rows_created: int = 0
    rows_updated: int = 0
    """Also those in which nothing but the remote id was filled in."""
    objects_created: int = 0
    objects_updated: int = 0
    conflicts: int = 0
    dead_letters: int = 0
    waiting: int = 0
    """Records that wait for one that they point to."""
    calls: int = 0
    """Requests to the remote system."""

    def document(self) -> dict[str, Value]:
        """As JSON can say it."""
        return asdict(self)

    @classmethod
    def parse(cls, document: Value) -> Tally:
        """The inverse of ``document``; what an older version did not count is zero."""
        known = document if isinstance(document, Mapping) else {}
        numbers = {each.name: known.get(each.name) for each in fields(cls)}
        return cls(**{name: number for name, number in numbers.items() if isinstance(number, int)})

    def add(self, other: Tally) -> None:
        """Add another's numbers."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class CountingRemote(Scanned):
    """Counts requests, and the calls that were answered."""

    def __init__(self, remote: RemoteSystem, tally: Tally, *, fresh: float = FRESH_SECONDS) -> None:
        super().__init__(remote, fresh=fresh)
        self.tally = tally

    def asked(self) -> None:
        self.tally.calls += 1

    async def call(self, attempt: Attempt) -> Answer:
        answer = await super().call(attempt)
        if attempt.call is Call.CREATE:
            self.tally.objects_created += 1
        elif attempt.call is Call.UPDATE and not answer.object.gone:
            self.tally.objects_updated += 1
        return answer


class CountingCatalogue:
    """``ports.Catalogue``: counts what is committed."""

    def __init__(self, catalogue: Catalogue, tally: Tally) -> None:
        self._catalogue, self.tally = catalogue, tally

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        done = _Done()
        async with self._catalogue.transaction() as tx:
            yield _Counted(tx, done)
        self.tally.add(done.tally())


class _Done:
    """What one transaction has done so far."""

    def __init__(self) -> None:
        self.noted = Tally()
        self.inserted: set[RecordId] = set()
        self.updated: set[RecordId] = set()
        self.linked: set[RecordId] = set()
        self.before: dict[RecordId, Link] = {}

    def tally(self) -> Tally:
        self.noted.rows_created = len(self.inserted)
        self.noted.rows_updated = len(self.updated - self.inserted)
        self.noted.linked = len(self.linked - self.inserted)
        return self.noted

    def saw(self, link: Link) -> Link:
        self.before.setdefault(link.record, link)
        return link

    def saved(self, link: Link) -> None:
        """A link that got its object other than by the answer of a call that made one."""
        before = self.before.get(link.record)
        known = before is not None and (before.remote_id == link.remote_id or before.attempt is not None)
        if link.remote_id is not None and not known:
            self.linked.add(link.record)


class _Counted:
    """``ports.Transaction`` around another."""

    def __init__(self, tx: Transaction, done: _Done) -> None:
        self._tx = tx
        self.rows: Rows = _Rows(tx.rows, done)
        self.links: Links = _Links(tx.links, done)
        self.journal: Journal = _Journal(tx.journal, done)
        self.index: LinkIndex = _Index(tx.index, done)
        self.search: RowSearch = tx.search
        self.references: References = tx.references
        self.waiting: Waiting = tx.waiting
        self.overdue: Overdue = tx.overdue
        self.checkpoints: Checkpoints = tx.checkpoints

    async def mark(self, origin: str, cause: str) -> None:
        await self._tx.mark(origin, cause)

    def afterwards(self, act: Callable[[], None]) -> None:
        self._tx.afterwards(act)


class _Rows:
    """``ports.Rows`` around another."""

    def __init__(self, rows: Rows, done: _Done) -> None:
        self._rows, self._done = rows, done

    async def read(self, record: RecordId, *, lock: bool = False) -> Row | None:
        return await self._rows.read(record, lock=lock)

    async def insert(self, entity: str, values: Values) -> Row:
        row = await self._rows.insert(entity, values)
        self._done.inserted.add(RecordId(entity, row.key))
        return row

    async def update(self, record: RecordId, values: Values) -> Row:
        row = await self._rows.update(record, values)
        self._done.updated.add(record)
        return row

    async def delete(self, record: RecordId) -> None:
        await self._rows.delete(record)


class _Links:
    """``ports.Links`` around another."""

    def __init__(self, links: Links, done: _Done) -> None:
        self._links, self._done = links, done

    async def claim(self, record: RecordId, system: str) -> Link:
        return self._done.saw(await self._links.claim(record, system))

    async def lock(self, record: RecordId, system: str) -> Link | None:
        link = await self._links.lock(record, system)
        return link and self._done.saw(link)

    async def save(self, link: Link) -> None:
        await self._links.save(link)
        self._done.saved(link)

    async def remove(self, link: Link) -> None:
        await self._links.remove(link)


class _Index:
    """``ports.LinkIndex`` around another."""

    def __init__(self, index: LinkIndex, done: _Done) -> None:
        self._index, self._done = index, done

    async def by_remote(self, system: str, entity: str, remote_id: str) -> Link | None:
        link = await self._index.by_remote(system, entity, remote_id)
        return link and self._done.saw(link)

    async def by_token(self, system: str, token: str) -> Link | None:
        link = await self._index.by_token(system, token)
        return link and self._done.saw(link)

    async def retire(self, system: str, entity: str, remote_id: str) -> None:
        await self._index.retire(system, entity, remote_id)

    async def is_retired(self, system: str, entity: str, remote_id: str) -> bool:
        return await self._index.is_retired(system, entity, remote_id)


class _Journal:
    """``ports.Journal`` around another."""

    def __init__(self, journal: Journal, done: _Done) -> None:
        self._journal, self._done = journal, done

    async def record_attempt(self, attempt: Attempt) -> None:
        await self._journal.record_attempt(attempt)

    async def attempt(self, key: str) -> Attempt | None:
        return await self._journal.attempt(key)

    async def see(self, system: str, event_id: str) -> bool:
        return await self._journal.see(system, event_id)

    async def was_seen(self, system: str, event_id: str) -> bool:
        return await self._journal.was_seen(system, event_id)

    async def note(self, entry: Conflict | DeadLetter) -> None:
        await self._journal.note(entry)
        if isinstance(entry, Conflict):
            self._done.noted.conflicts += 1
        else:
            self._done.noted.dead_letters += 1
