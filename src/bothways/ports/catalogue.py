"""The user's database: its rows, and the state that lies beside them, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from bothways.model.link import Attempt, Link
from bothways.model.outcome import Conflict, DeadLetter, Parked
from bothways.model.record import RecordId, Row
from bothways.model.values import Value, Values


class Rows(Protocol):
    """The user's rows, inside one transaction. Only mapped columns (and ``id_column``s) are read and written."""

    async def read(self, record: RecordId, *, lock: bool = False) -> Row | None:
        """The row as this transaction sees it; ``lock`` keeps others from changing it until the end."""
        ...

    async def insert(self, entity: str, values: Values) -> Row:
        """A new row; returns it as read back, with defaults and triggers applied.

        Raises ``NotUnique`` or ``RowRefused``; the transaction can go on after either (a savepoint is kept around it).
        """
        ...

    async def update(self, record: RecordId, values: Values) -> Row:
        """Set these columns of an existing row; returns it as read back. Raises as ``insert``."""
        ...

    async def delete(self, record: RecordId) -> None:
        """Delete the row if it is there. Raises ``RowRefused`` where a foreign key forbids it."""
        ...


class RowSearch(Protocol):
    """Finding rows."""

    async def find(self, entity: str, equal: Values, *, limit: int = 2) -> Sequence[Row]:
        """Rows whose columns equal these values, at most ``limit``, by key; not locked."""
        ...

    async def page(self, entity: str, after: str | None, limit: int) -> Sequence[Row]:
        """Rows in the order of the primary key, after the given key."""
        ...


class Links(Protocol):
    """Links, inside one transaction. Whoever gets a link holds its lock until the end of the transaction."""

    async def claim(self, record: RecordId, system: str) -> Link:
        """The record's link, made (with a random token) if there is none, locked."""
        ...

    async def lock(self, record: RecordId, system: str) -> Link | None:
        """The record's link if there is one, locked."""
        ...

    async def save(self, link: Link) -> None:
        """Store this state of a link that this transaction holds (or that is new).

        Where another record has the same remote object, the transaction ends as ``Busy``, at its commit at the latest.
        """
        ...

    async def remove(self, link: Link) -> None:
        """Forget a link that this transaction holds: its record has moved or was never anything."""
        ...


class LinkIndex(Protocol):
    """Finding links from the remote side, inside one transaction. What is found is locked."""

    async def by_remote(self, system: str, entity: str, remote_id: str) -> Link | None:
        """The current link of this remote object."""
        ...

    async def by_token(self, system: str, token: str) -> Link | None:
        """The current link with this token: that of our mark."""
        ...

    async def retire(self, system: str, entity: str, remote_id: str) -> None:
        """Remember that this remote object is gone for good, whatever becomes of the link."""
        ...

    async def is_retired(self, system: str, entity: str, remote_id: str) -> bool:
        """Whether it was retired."""
        ...


class References(Protocol):
    """What a reference stands for on the other side; nothing is locked."""

    async def remote_id(self, record: RecordId, system: str) -> str | None:
        """The remote id of this record's live link."""
        ...

    async def record(self, system: str, entity: str, remote_id: str) -> RecordId | None:
        """The record that this remote object is linked to."""
        ...


class Journal(Protocol):
    """What was sent, what was seen, what is kept for people; inside one transaction."""

    async def record_attempt(self, attempt: Attempt) -> None:
        """Keep the attempt for as long as events may name its key (31 days)."""
        ...

    async def attempt(self, key: str) -> Attempt | None:
        """The attempt of ours with this idempotency key."""
        ...

    async def see(self, system: str, event_id: str) -> bool:
        """Note the event as dealt with; False if it was before. Of two transactions at once, one waits."""
        ...

    async def was_seen(self, system: str, event_id: str) -> bool:
        """Whether it was noted, as far as is committed; nothing is noted, and nobody waits."""
        ...

    async def note(self, entry: Conflict | DeadLetter) -> None:
        """Keep it for people."""
        ...


class Waiting(Protocol):
    """What waits in the state, inside one transaction."""

    async def park(self, parked: Parked) -> None:
        """Keep it until it is woken or due; one of the same id is replaced."""
        ...

    async def wake(self, name: str) -> None:
        """Everything that waits on this name is due now."""
        ...

    async def take_due(self, now: float, limit: int, lease: float) -> Sequence[Parked]:
        """What is due, by the time and then the id, skipping what others hold.

        It is due again after ``lease`` seconds unless it is unparked.
        """
        ...

    async def unpark(self, parked_id: str) -> None:
        """It is done."""
        ...


class Overdue(Protocol):
    """Links that somebody should look at again (an attempt that nobody has finished), inside one transaction."""

    async def take_overdue(self, now: float, limit: int, lease: float) -> Sequence[tuple[RecordId, str]]:
        """(record, system) of links whose ``due`` has passed; it is moved ``lease`` seconds on."""
        ...


class Checkpoints(Protocol):
    """Small named values, inside one transaction."""

    async def load(self, name: str) -> Value:
        """The value, None if there is none."""
        ...

    async def hold(self, name: str, *, shared: bool = False) -> Value:
        """The same, locked until the transaction ends: for whoever changes it by what it is.

        ``shared``: beside others who hold it so, against those who change it; a value that was never stored is not
        locked then.
        """
        ...

    async def store(self, name: str, value: Value) -> None:
        """Set it."""
        ...


class Transaction(Protocol):
    """One READ COMMITTED transaction over the user's rows and the sync's state, which live in one database.

    Locks are taken in one order: a link, then its row. Lock and statement time-outs, deadlocks and lost connections
    raise ``Busy``; the caller runs the whole transaction again.
    """

    @property
    def rows(self) -> Rows: ...
    @property
    def search(self) -> RowSearch: ...
    @property
    def links(self) -> Links: ...
    @property
    def index(self) -> LinkIndex: ...
    @property
    def references(self) -> References: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def waiting(self) -> Waiting: ...
    @property
    def overdue(self) -> Overdue: ...
    @property
    def checkpoints(self) -> Checkpoints: ...

    async def mark(self, origin: str, cause: str) -> None:
        """The row changes of this transaction, before and after this call, are ``origin``'s, made by ``cause``.

        Capture shows it as the change's origin. May be called at any time before the end; the last call counts.
        """
        ...

    def afterwards(self, act: Callable[[], None]) -> None:
        """Call this once it is committed; never where it was rolled back, or where nobody knows."""
        ...


class Catalogue(Protocol):
    """The user's database, with the sync's state beside the user's tables."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commits at the end, rolls back when an exception leaves it (cancellation too)."""
        ...


class Pace(Protocol):
    """The rate that a system allows, shared by all workers through the state."""

    async def turn(self) -> None:
        """Return when the next call may be made."""
        ...

    async def slow_down(self, retry_after: float | None) -> None:
        """The system asked for fewer calls."""
        ...
