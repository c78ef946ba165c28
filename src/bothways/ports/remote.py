"""A remote system: calls, searches, events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bothways.model.link import Attempt
from bothways.model.record import RemoteObject
from bothways.model.remote import Answer, RemoteEvent
from bothways.model.values import Values


class Remote(Protocol):
    """A remote system's calls. Rate limiting is the adapter's business; retrying is the caller's.

    Errors: ``Unavailable`` (the call may have taken effect), ``RateLimited``, ``FateUnknown``, ``CallRefused``,
    ``Forbidden``. An object that is gone is an answer (``gone``), not an error; so is one that was never there.
    """

    @property
    def key_memory_seconds(self) -> float:
        """How long after its first use the remote certainly still knows an idempotency key."""
        ...

    async def call(self, attempt: Attempt) -> Answer:
        """Make the call under the attempt's key, or make it again: same key, same body, same effect once.

        ``FateUnknown`` where the remote repeats a stored failure or knows the key with another body.
        """
        ...

    async def fetch(self, object: str, remote_id: str) -> Answer:
        """The object as it is now."""
        ...

    async def fate(self, attempt: Attempt) -> RemoteObject | None:
        """The snapshot that the attempt's effect left: by the event that names its key, or a create by its mark.

        None where no such trace is found: it took no effect, or changed nothing.
        """
        ...


class RemoteSearch(Protocol):
    """Finding remote objects."""

    async def match(self, object: str, equal: Values, *, limit: int = 2) -> Sequence[RemoteObject]:
        """Live objects whose paths equal these values (remote's form), read now and without search's delay."""
        ...

    async def page(self, object: str, cursor: str | None, limit: int) -> RemotePage:
        """Live objects, oldest last, after the cursor."""
        ...


@dataclass(frozen=True, slots=True)
class RemotePage:
    """One page of a scan over all objects."""

    answers: Sequence[Answer]
    cursor: str | None
    """Where the next page begins; None at the end."""


class EventFeed(Protocol):
    """What a remote system reports when asked."""

    def decode(self, payload: bytes) -> RemoteEvent | None:
        """An event as it stands on the log; None for kinds that nothing is mapped to. Raises ``ValueError``."""
        ...

    async def since(self, created: int, seen: Callable[[str], bool]) -> Sequence[RawEvent]:
        """Every stored event created at or after that second and not ``seen`` (by id), oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event as the remote sent it, ready for the log."""

    id: str
    object: str
    remote_id: str
    created: int
    payload: bytes = field(repr=False)
