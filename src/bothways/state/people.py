"""What the state keeps for people: dead letters, conflicts, and what waits; all inside one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, Select, delete, func, select, update

from bothways.model.errors import NoSuchRecord
from bothways.model.outcome import Conflict, DeadLetter, Direction, Parked
from bothways.model.record import RecordId
from bothways.state.documents import load
from bothways.state.store import Session
from bothways.state.tables import conflict as conflicts
from bothways.state.tables import dead_letter as letters
from bothways.state.tables import link as links
from bothways.state.tables import parked as waiting
from bothways.state.waiting import parked_of


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A dead letter as it is kept."""

    id: int
    at: float
    """Unix seconds."""
    letter: DeadLetter
    published: bool
    """It lies on the topic of dead letters."""
    replay: bool
    """Somebody wants it tried again."""


@dataclass(frozen=True, slots=True)
class KeptConflict:
    """A conflict as it is kept."""

    id: int
    at: float
    conflict: Conflict


@dataclass(frozen=True, slots=True)
class PairCount:
    """How many links an entity has at a system."""

    entity: str
    system: str
    links: int
    linked: int
    """With a live remote object."""
    deleted: int
    in_flight: int
    """With something that is to be looked at again, most often a call under way."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the state holds, in numbers."""

    pairs: Sequence[PairCount]
    dead_letters: int
    conflicts: int
    reviews: int
    """Conflicts that wait for a person."""
    parked: int


class Letters:
    """Dead letters."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(
        self, *, entity: str | None = None, system: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[KeptLetter]:
        """The newest first; ``before`` goes on from an id. What was noted again keeps its place."""
        query = select(letters).order_by(letters.c.id.desc()).limit(limit)
        query = query if entity is None else query.where(letters.c.entity == entity)
        query = query if system is None else query.where(letters.c.system == system)
        query = query if before is None else query.where(letters.c.id < before)
        return await self._kept(query)

    async def get(self, letter_id: int) -> KeptLetter:
        """One of them; raises ``NoSuchRecord``."""
        found = await self._kept(select(letters).where(letters.c.id == letter_id))
        if not found:
            raise NoSuchRecord(f"there is no dead letter {letter_id}", hint="`bothways deadletters list` shows them")
        return found[0]

    async def drop(self, ids: Sequence[int]) -> int:
        """Forget these; returns how many there were."""
        return (await self._session.execute(delete(letters).where(letters.c.id.in_(ids)))).rowcount

    async def extent(self) -> tuple[int, int]:
        """How many there are, and the highest id (0 for none)."""
        highest = func.coalesce(func.max(letters.c.id), 0)
        query = select(func.count().label("number"), highest.label("highest"))
        found = (await self._session.execute(query)).mappings().one()
        return found["number"], found["highest"]

    async def drop_until(self, letter_id: int) -> int:
        """Forget all up to this id; returns how many there were."""
        return (await self._session.execute(delete(letters).where(letters.c.id <= letter_id))).rowcount

    async def mark_for_replay(self, ids: Sequence[int]) -> int:
        """Have these tried again by delivery; returns how many there were."""
        statement = update(letters).where(letters.c.id.in_(ids)).values(replay=True)
        return (await self._session.execute(statement)).rowcount

    async def take_marked(self, limit: int) -> Sequence[KeptLetter]:
        """Letters that are to be tried again: taken out, so the caller parks or does the work in this transaction."""
        query = select(letters).where(letters.c.replay).order_by(letters.c.id).limit(limit)
        taken = await self._kept(query.with_for_update(skip_locked=True))
        await self.drop([each.id for each in taken])
        return taken

    async def unpublished(self, limit: int) -> Sequence[KeptLetter]:
        """Letters that are not on their topic yet, the oldest first, locked; what others hold is left out."""
        query = select(letters).where(letters.c.published.is_(False)).order_by(letters.c.id).limit(limit)
        return await self._kept(query.with_for_update(skip_locked=True))

    async def set_published(self, ids: Sequence[int]) -> None:
        """They lie on their topic."""
        await self._session.execute(update(letters).where(letters.c.id.in_(ids)).values(published=True))

    async def _kept(self, query: Select[Any]) -> Sequence[KeptLetter]:
        return [_letter(row) for row in (await self._session.execute(query)).mappings()]


class Conflicts:
    """Conflicts."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(
        self, *, record: RecordId | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[KeptConflict]:
        """The newest first; ``before`` goes on from an id."""
        query = select(conflicts).order_by(conflicts.c.id.desc()).limit(limit)
        query = query if before is None else query.where(conflicts.c.id < before)
        if record is not None:
            query = query.where(conflicts.c.entity == record.entity, conflicts.c.key == record.key)
        return [_conflict(row) for row in (await self._session.execute(query)).mappings()]

    async def get(self, conflict_id: int) -> KeptConflict:
        """One of them; raises ``NoSuchRecord``."""
        query = select(conflicts).where(conflicts.c.id == conflict_id)
        row = (await self._session.execute(query)).mappings().one_or_none()
        if row is None:
            raise NoSuchRecord(f"there is no conflict {conflict_id}", hint="`bothways conflicts list` shows them")
        return _conflict(row)

    async def drop(self, ids: Sequence[int]) -> int:
        """Forget these; returns how many there were."""
        return (await self._session.execute(delete(conflicts).where(conflicts.c.id.in_(ids)))).rowcount


class People:
    """All that people look at."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.letters = Letters(session)
        self.conflicts = Conflicts(session)

    async def parked(self, limit: int = 100) -> Sequence[Parked]:
        """What waits, what is due first at the front."""
        query = select(waiting).order_by(waiting.c.due.is_(None), waiting.c.due, waiting.c.id).limit(limit)
        return [parked_of(row) for row in (await self._session.execute(query)).mappings()]

    async def unlinked(self, limit: int = 100) -> Sequence[tuple[RecordId, str]]:
        """(record, system) of links that have no remote object: creates under way, refused or waiting."""
        query = (
            select(links.c.entity, links.c.key, links.c.system)
            .where(links.c.remote_id.is_(None), links.c.deleted.is_(False))
            .order_by(links.c.system, links.c.entity, links.c.key)
            .limit(limit)
        )
        return [(RecordId(row.entity, row.key), row.system) for row in await self._session.execute(query)]

    async def counts(self) -> Counts:
        """What the state holds, in numbers. Counts all links: not for every second."""
        reviews = conflicts.c.winner == "review"
        return Counts(
            pairs=await self._pairs(),
            dead_letters=await self._count(select(func.count()).select_from(letters)),
            conflicts=await self._count(select(func.count()).select_from(conflicts)),
            reviews=await self._count(select(func.count()).select_from(conflicts).where(reviews)),
            parked=await self._count(select(func.count()).select_from(waiting)),
        )

    async def backlog(self) -> tuple[int, int]:
        """(dead letters, what is parked): cheap enough to be asked often."""
        kept = await self._count(select(func.count()).select_from(letters))
        return kept, await self._count(select(func.count()).select_from(waiting))

    async def waiting_on(self, name: str) -> int:
        """How much of what is parked waits on this name."""
        return await self._count(select(func.count()).select_from(waiting).where(waiting.c.waits_on == name))

    async def _count(self, query: Select[int]) -> int:
        number: int = (await self._session.execute(query)).scalar_one()
        return number

    async def _pairs(self) -> Sequence[PairCount]:
        live = links.c.deleted.is_(False) & links.c.remote_id.is_not(None)
        query = (
            select(
                links.c.entity,
                links.c.system,
                func.count().label("links"),
                func.count().filter(live).label("linked"),
                func.count().filter(links.c.deleted).label("deleted"),
                func.count().filter(links.c.due.is_not(None)).label("in_flight"),
            )
            .group_by(links.c.entity, links.c.system)
            .order_by(links.c.entity, links.c.system)
        )
        return [PairCount(**row) for row in (await self._session.execute(query)).mappings()]


def _letter(row: RowMapping) -> KeptLetter:
    columns: dict[str, Any] = dict(row)
    kept: Mapping[str, Any] = {name: columns.pop(name) for name in ("id", "at", "published", "replay")}
    return KeptLetter(letter=DeadLetter(direction=Direction(columns.pop("direction")), **columns), **kept)


def _conflict(row: RowMapping) -> KeptConflict:
    found = Conflict(
        record=RecordId(row["entity"], row["key"]),
        system=row["system"],
        column=row["column"],
        row_value=load(row["row_value"]),
        remote_value=load(row["remote_value"]),
        winner=row["winner"],
        found_in=row["found_in"],
    )
    return KeptConflict(row["id"], row["at"], found)
