"""How far the backfill of one entity at one system has come: kept in a checkpoint, so that it goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bothways.flow.poll import gap_flag
from bothways.flow.tally import Tally
from bothways.model.values import Value
from bothways.ports import Checkpoints


class Phase(StrEnum):
    """The steps, in this order."""

    OBJECTS = "objects"
    """The remote's objects, page by page: each is linked, or becomes a row."""
    ROWS = "rows"
    """The rows, page by page: what the remote lacks is made there."""
    REST = "rest"
    """Objects that waited for a call under way."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Course:
    """Where it stands."""

    began: float
    """Unix seconds."""
    phase: Phase = Phase.OBJECTS
    cursor: str | None = None
    """Where the phase's next page begins."""
    objects: int = 0
    rows: int = 0
    """How many of each were looked at."""
    missing: int = 0
    """Linked rows whose object is not there any more: left to the event of its deletion, or to reconcile."""
    rest: tuple[str, ...] = ()
    """Remote ids of objects that are to be looked at again."""
    tally: Tally = field(default_factory=Tally)
    ended: float | None = None

    def document(self) -> Mapping[str, Value]:
        """As JSON can say it."""
        return {
            "began": self.began,
            "phase": self.phase.value,
            "cursor": self.cursor,
            "objects": self.objects,
            "rows": self.rows,
            "missing": self.missing,
            "rest": list(self.rest),
            "tally": self.tally.document(),
            "ended": self.ended,
        }


def checkpoint(system: str, entity: str) -> str:
    """The checkpoint that holds the course."""
    return f"backfill:{system}:{entity}"


async def load_course(checkpoints: Checkpoints, system: str, entity: str) -> Course | None:
    """The course, if there ever was a backfill. Raises ``ValueError`` for a checkpoint that is something else."""
    found = await checkpoints.load(checkpoint(system, entity))
    if found is None:
        return None
    if not isinstance(found, Mapping) or not isinstance(began := found.get("began"), int | float):
        raise ValueError(f"not a backfill's checkpoint: {found!r}")
    cursor, rest, ended = found.get("cursor"), found.get("rest"), found.get("ended")
    return Course(
        began=float(began),
        phase=Phase(str(found.get("phase"))),
        cursor=cursor if isinstance(cursor, str) else None,
        objects=_number(found.get("objects")),
        rows=_number(found.get("rows")),
        missing=_number(found.get("missing")),
        rest=tuple(map(str, rest)) if isinstance(rest, list) else (),
        tally=Tally.parse(found.get("tally")),
        ended=float(ended) if isinstance(ended, int | float) else None,
    )


async def store_course(checkpoints: Checkpoints, system: str, entity: str, course: Course) -> None:
    """Keep it."""
    await checkpoints.store(checkpoint(system, entity), course.document())


def next_phase(course: Course, now: float) -> Course:
    """The course at the beginning of the phase that follows."""
    phases = list(Phase)
    phase = phases[phases.index(course.phase) + 1]
    return replace(course, phase=phase, cursor=None, ended=now if phase is Phase.DONE else None)


async def lost_since(checkpoints: Checkpoints, system: str, began: float) -> bool:
    """Whether it was found after that time that events of this system are lost."""
    gap = await checkpoints.load(gap_flag(system))
    found = gap.get("found") if isinstance(gap, Mapping) else None
    return isinstance(found, int | float) and found > began


async def clear_gap(checkpoints: Checkpoints, system: str, entities: Sequence[str]) -> bool:
    """Take the flag away that says that events of this system were lost, if a backfill of all of it has made up for it.

    It has if it began after the loss was found, and has seen no linked object gone: deletions are left to events, and
    theirs may be among the lost. Returns whether the flag is still there.
    """
    if await checkpoints.load(gap_flag(system)) is None:
        return False
    for entity in entities:
        course = await load_course(checkpoints, system, entity)
        if course is None or course.phase is not Phase.DONE or course.missing:
            return True
        if await lost_since(checkpoints, system, course.began):
            return True
    await checkpoints.store(gap_flag(system), None)
    return False


@dataclass(frozen=True, slots=True)
class CourseStatus:
    """One entity's backfill at one system, as `status` shows it."""

    entity: str
    system: str
    phase: str
    """``never``, or a phase."""
    objects: int = 0
    rows: int = 0
    began: float | None = None
    ended: float | None = None


async def courses(checkpoints: Checkpoints, pairs: Sequence[tuple[str, str]]) -> Sequence[CourseStatus]:
    """For each (entity, system): whether a backfill was done, or how far one has come."""
    found = []
    for entity, system in pairs:
        course = await load_course(checkpoints, system, entity)
        if course is None:
            found.append(CourseStatus(entity, system, "never"))
        else:
            numbers = (course.objects, course.rows, course.began, course.ended)
            found.append(CourseStatus(entity, system, course.phase.value, *numbers))
    return found


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0
