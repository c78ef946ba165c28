"""Changes of the catalogue, and where they stand in their source."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bothways.model.values import Values


class Operation(StrEnum):
    """Debezium's letters for what happened to a row."""

    CREATE = "c"
    UPDATE = "u"
    DELETE = "d"
    READ = "r"
    TRUNCATE = "t"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a change stands in its source.

    ``source`` names the server and its history (PostgreSQL: system id and timeline); only positions of one source
    compare. ``order`` is the place of the transaction's commit, then of the change in it: (commit LSN, index).
    """

    source: str
    order: tuple[int, ...]

    def __str__(self) -> str:
        return ":".join([self.source, *map(str, self.order)])

    @classmethod
    def parse(cls, text: str) -> Position:
        """The inverse of ``str``. Raises ``ValueError`` for anything else."""
        source, *order = text.split(":")
        if not source or not order:
            raise ValueError(f"not a position: {text!r}")
        return cls(source, tuple(map(int, order)))


@dataclass(frozen=True, slots=True)
class Change:
    """One immutable event of the catalogue, as consumers read it from the log."""

    entity: str
    key: str | None
    """The primary key as in ``RecordId``; None for a truncate."""
    operation: Operation
    before: Values | None
    after: Values | None
    origin: str | None
    """The remote system whose change this is, where the row needs nothing sent to it; None for everybody else's."""
    cause: str | None
    """What it was made by: an event's id, a request's id."""
    position: Position
    committed_ms: int
    """Commit time, milliseconds since 1970, by the database's clock."""
    moved_to: str | None = None
    """A deletion that is one half of a changed key: the new key."""
    moved_from: str | None = None
    """A creation that is the other half: the old key."""
