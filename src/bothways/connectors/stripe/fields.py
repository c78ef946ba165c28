"""What a description of a Stripe object is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bothways.model.remote import Happening


class Kind(StrEnum):
    """What a field holds at Stripe."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    UNIX = "unix"
    """Seconds since 1970."""
    LIST = "list"
    HASH = "hash"
    METADATA = "metadata"
    """One key of the object's metadata: text."""


class Writes(StrEnum):
    """Which calls may set a field."""

    ALWAYS = "always"
    CREATE = "create"
    UPDATE = "update"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object, by its dotted path."""

    path: str
    kind: Kind = Kind.TEXT
    longest: int | None = None
    """Characters of a text, members of a list; None where Stripe does not say."""
    writes: Writes = Writes.ALWAYS
    unsets: bool = True
    """Whether an empty value takes the field's value away."""
    note: str = ""
    """What Stripe asks of the value, for hints."""

    @property
    def writable(self) -> bool:
        """Whether a call can set it at all."""
        return self.writes is not Writes.NEVER


@dataclass(frozen=True, slots=True)
class Archive:
    """What is written to an object that Stripe will not delete, and what it is known by afterwards."""

    sets: Mapping[str, bool]
    """Path → value."""
    mark: str
    """The metadata key that tells an archived record from one that people have put away themselves."""


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One kind of object: all that the connector knows of it."""

    name: str
    path: str
    """Of the API: ``/v1/customers``."""
    id_prefix: str
    """How Stripe's own ids begin; a product's may be anything."""
    fields: tuple[Field, ...]
    events: Mapping[str, Happening]
    list_filters: Mapping[str, str] = field(default_factory=dict)
    """Path → parameter of the list call that finds by it."""
    whole: tuple[str, ...] = ()
    """Hashes that Stripe takes only as a whole: a patch of one member sends the others along."""
    archive: Archive | None = None
    by_path: Mapping[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_path", {f.path: f for f in self.fields})

    def members(self, root: str) -> tuple[Field, ...]:
        """The leaves below a hash that can be written at any time."""
        below = f"{root}."
        return tuple(
            f for f in self.fields if f.path.startswith(below) and f.kind is not Kind.HASH and f.writes is Writes.ALWAYS
        )
