"""What is kept for people: conflicts and dead letters; and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bothways.model.record import RecordId
from bothways.model.values import Value


class Direction(StrEnum):
    """Which way a change goes."""

    OUT = "out"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both sides changed a field (or one edited what the other deleted), and what became of it."""

    record: RecordId
    system: str
    column: str
    """Empty where a deletion won over edits."""
    row_value: Value
    remote_value: Value
    winner: str
    """``database``, the system's name, or ``review`` while it waits for a person."""
    found_in: str
    """``event``, ``answer``, ``receipt`` (our own call overwrote it), ``linking``, ``deletion``."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be delivered: which record, which field, why, and what to do."""

    direction: Direction
    system: str
    entity: str
    key: str
    """The record's key; the remote id where there is no record yet."""
    field: str | None
    reason: str
    hint: str
    payload: str
    """JSON: what was to be written, or the event."""
    change: str = ""
    """Topic, partition and offset, or event id, that it came from."""


@dataclass(frozen=True, slots=True)
class Parked:
    """Work that waits in the state: its message counts as done."""

    id: str
    direction: Direction
    system: str
    entity: str
    key: str
    """Record key (out) or remote id (in)."""
    waits_on: str
    """A name that is woken: ``link:<system>:<entity>:<key>``, ``attempt:<system>:<remote id>``, or
    ``mapping:<entity>``."""
    payload: str = ""
    """The event as it stood on the log (in); what a change told that the row will not (out)."""
    due: float | None = None
    """Unix seconds: taken up then even if nobody wakes it."""
