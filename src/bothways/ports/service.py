"""What the running program is made of: the clock, the roles, the records that people write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bothways.model.values import Values


class Clock(Protocol):
    """Wall time. Waiting is ``asyncio.sleep``."""

    def now(self) -> float:
        """Unix seconds."""
        ...


class Role(Protocol):
    """Something that a process runs: capture, receive, deliver, serve."""

    @property
    def name(self) -> str: ...

    def ready(self) -> str | None:
        """None when it does its work, else why not yet."""
        ...

    async def run(self) -> None:
        """Work until cancelled; on cancellation finish what is under way and let go. An exception means: restart me."""
        ...


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of records, whole rows."""

    rows: Sequence[Values]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """A record as it is after a write, and a token that stands for the write."""

    row: Values
    token: str
    """Names the position of the write in the source; opaque."""
    repeated: bool = False
    """The stored answer of an earlier request with this idempotency key."""


class Records(Protocol):
    """The user's records as whole rows, for the HTTP API and the command line; each call is a transaction of its own.

    ``key`` is the primary key as people write it: ``7``, or its columns' values with commas between them. Raises
    ``RowRefused``, ``NotUnique``, ``Busy``, ``UnknownEntity``, ``NoSuchRecord``.
    """

    async def list(self, entity: str, limit: int, cursor: str | None) -> RecordPage: ...

    async def get(self, entity: str, key: str) -> Values: ...

    async def write(
        self, entity: str, key: str | None, values: Values, *, idempotency_key: str | None = None
    ) -> Written:
        """Create (``key`` None) or update. The same idempotency key with the same body repeats the first answer; with
        another body it raises ``RowRefused``.
        """
        ...

    async def delete(self, entity: str, key: str) -> str:
        """Delete; returns the write's token."""
        ...
