"""What remote systems tell us: answers to calls, and events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bothways.model.link import Window
from bothways.model.record import RemoteObject
from bothways.model.values import Value


@dataclass(frozen=True, slots=True)
class Answer:
    """A call's answer: the whole object as it stood when the remote wrote the answer."""

    object: RemoteObject
    window: Window
    """When the picture was taken: from the request's sending to the answer's ``Date``."""
    replayed: bool = False
    """The answer of an earlier call under this key, repeated: its effect is sure, its state is old."""
    request_id: str | None = None


class Happening(StrEnum):
    """What an event says happened to its object."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class RemoteEvent:
    """One event of a remote system."""

    id: str
    system: str
    object: str
    """The kind of object: ``customer``."""
    happening: Happening
    created: int
    """Unix seconds, the remote's clock, whole seconds: no order."""
    snapshot: RemoteObject
    previous: Mapping[str, Value] = field(default_factory=dict)
    """The replaced values, nested as in the object; only of an update."""
    key: str | None = None
    """Idempotency key of the request that made it."""
    request_id: str | None = None
