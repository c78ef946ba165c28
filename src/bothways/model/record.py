"""Records: which one, what its row shows, what the remote object shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.model.values import Value, Values


@dataclass(frozen=True, slots=True, order=True)
class RecordId:
    """One record of the catalogue.

    ``key`` is the primary key as compact JSON, columns in the key's order (``{"id":7}``): the key of its messages, too.
    """

    entity: str
    key: str

    def __str__(self) -> str:
        return f"{self.entity} {self.key}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the database shows it now: mapped columns in canonical form."""

    key: str
    values: Values
    takes_part: bool = True
    """False where the entity's ``where`` leaves the row out."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a record that we created carries in the remote system, so that it is known again."""

    installation: str
    token: str
    """The link's own random id."""
    key: str
    """The catalogue's key, for people who look at the remote record."""


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """A remote record as it was shown at some time."""

    id: str
    gone: bool = False
    document: Mapping[str, Value] = field(default_factory=dict)
    """The object as the remote sends it, nested; empty where ``gone``."""
    mark: Mark | None = None
