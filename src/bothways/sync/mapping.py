"""How a table's columns stand for an object's fields: descriptions, no code per object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bothways.model.values import Value, Values
from bothways.sync.transforms import AS_IS, Transform


class Ways(StrEnum):
    """Which way a field's changes go."""

    BOTH = "both"
    OUT = "out"
    IN = "in"


class Deletes(StrEnum):
    """What becomes of a deletion on the other side."""

    PROPAGATE = "propagate"
    MARK = "mark"
    IGNORE = "ignore"


DATABASE = "database"
LATEST = "latest"
REVIEW = "review"


@dataclass(frozen=True, slots=True)
class FieldMap:
    """One column that stands for one field."""

    column: str
    path: str
    """Dotted path in the remote object: ``address.city``, ``metadata.tier``."""
    ways: Ways = Ways.BOTH
    wins: str = DATABASE
    """Who wins a conflict: ``database``, the system's name, ``latest`` or ``review``."""
    transform: Transform = AS_IS
    ref: str | None = None
    """The entity that the column points to, by its single-column primary key."""
    ref_key: str = "id"
    """That key's column."""

    @property
    def goes_out(self) -> bool:
        """Whether the row's changes go to the remote."""
        return self.ways is not Ways.IN

    @property
    def comes_in(self) -> bool:
        """Whether the remote's changes go to the row."""
        return self.ways is not Ways.OUT


@dataclass(frozen=True, slots=True)
class MarkColumn:
    """A column (or remote path) that is set instead of deleting."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class EntityMapping:
    """One entity at one system."""

    entity: str
    system: str
    object: str
    fields: tuple[FieldMap, ...]
    id_column: str | None = None
    match_on: tuple[str, ...] = ()
    """Columns that together find the counterpart of a record that has no link yet."""
    deletes_out: Deletes = Deletes.PROPAGATE
    deletes_in: Deletes = Deletes.PROPAGATE
    mark_out: MarkColumn | None = None
    """Remote path and value, where ``deletes_out`` is ``mark``."""
    mark_in: MarkColumn | None = None
    """Column and value, where ``deletes_in`` is ``mark``."""
    by_column: Mapping[str, FieldMap] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_column", {f.column: f for f in self.fields})

    def read(self, document: Values) -> dict[str, Value]:
        """Column → value in the remote's form, for every mapped field; a missing field is None."""
        return {f.column: lookup(document, f.path) for f in self.fields}

    def read_present(self, document: Values) -> dict[str, Value]:
        """The same for the fields that the document names: an event's previous values."""
        return {f.column: lookup(document, f.path) for f in self.fields if present(document, f.path)}

    def columns(self) -> frozenset[str]:
        """Every column that this mapping reads or writes."""
        extra = {self.id_column} if self.id_column else set()
        if self.mark_in:
            extra.add(self.mark_in.name)
        return frozenset(self.by_column) | extra


def lookup(document: Values, path: str) -> Value:
    """The value at a dotted path; None where the way ends."""
    value: Value = document
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def present(document: Values, path: str) -> bool:
    """Whether the document says something of this path: a parent that is null counts."""
    value: Value = document
    for name in path.split("."):
        if value is None:
            return True
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return True


@dataclass(frozen=True, slots=True)
class TableMap:
    """One entity's table, with what all of its systems need of it."""

    entity: str
    table: str
    """As in the settings: ``customers`` or ``shop.customers``, as the database spells it, unquoted."""
    topic: str
    columns: frozenset[str]
    """Mapped columns of all systems, ``id_column``s and mark columns; the primary key comes by itself."""
    where: str | None = None
    """SQL condition: which rows take part."""
