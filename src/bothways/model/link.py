"""The link between a row and a remote object, with all that the sync remembers of the pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bothways.model.record import Mark, RecordId
from bothways.model.values import Value, Values


class Call(StrEnum):
    """What an attempt asks of the remote system."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call, written down before it is made, so that its fate can be settled whatever happens."""

    key: str
    """The idempotency key, random; the remote's event of this call carries it."""
    call: Call
    system: str
    object: str
    remote_id: str | None
    """None for a create."""
    patch: Values
    """Remote path → value in the remote's form; None unsets. Empty for a deletion."""
    columns: Values
    """Column → value of the row that the patch was made of."""
    saw: Values
    """Column → the remote's base of the patched fields when the patch was computed."""
    mark: Mark | None
    """What a create carries."""
    record: RecordId
    generation: int
    at: float
    """Unix seconds, our clock: when it was written down."""


@dataclass(frozen=True, slots=True)
class Window:
    """When a picture of the remote was read: between these two whole seconds of the remote's clock, both included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Base:
    """Per mapped column, the value as each side last showed it when they agreed. A missing key: never agreed."""

    row: Values = field(default_factory=dict)
    remote: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """A remote value that waits to be settled: for the row's change to be captured, or for a person."""

    value: Value
    """In the remote's form."""
    time: int
    """The remote's clock, seconds."""
    review: bool = False
    """Waits for a person."""


@dataclass(frozen=True, slots=True)
class Link:
    """This row is that object. One per record and system; its lock is what serialises all work on the pair."""

    record: RecordId
    system: str
    token: str
    """Random id of this pair; a new one with each generation."""
    generation: int = 0
    remote_id: str | None = None
    deleted: bool = False
    """Tombstone: the pair is gone on both sides, or about to be; nothing revives it."""
    row_gone: bool = False
    """The row's deletion was on the log, and the row has not been seen since."""
    row_kept: bool = False
    """The remote's deletion left the row (marked or ignored): editing the row makes no new record of it."""
    base: Base = field(default_factory=Base)
    window: Window | None = None
    attempt: Attempt | None = None
    revision: int = 0
    """Counts what was learned or decided; a picture fetched under an older revision is not merged."""
    remote_times: Mapping[str, int] = field(default_factory=dict)
    """Column → when somebody last changed it at the remote, as far as known (remote's clock, seconds)."""
    ours: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Column → keys of our attempts that set it, since somebody there was last seen to change it."""
    refused: Values = field(default_factory=dict)
    """Column → value of the row that the remote refused; left out of patches until it changes."""
    refused_inward: Values = field(default_factory=dict)
    """Column → value of the remote that the database refused."""
    held: Mapping[str, Held] = field(default_factory=dict)
    due: float | None = None
    """Unix seconds, our clock: when to look at the record again if nobody has."""

    def buried(self) -> Link:
        """The pair's tombstone. It holds no values: whoever deletes a person's record wants them gone."""
        return replace(
            self, deleted=True, base=Base(), remote_times={}, ours={}, refused={}, refused_inward={}, held={}
        )
