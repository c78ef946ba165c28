"""What a log, a catalogue and a remote system must offer: small Protocols, whose docstrings are the contracts.

Everything is asynchronous and runs on one event loop per process, but for ``Appender``, which any thread may use.
What only some adapters can do is a Protocol of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bothways.model.link import Attempt, Link
from bothways.model.outcome import Conflict, DeadLetter, Parked
from bothways.model.record import RecordId, RemoteObject, Row
from bothways.model.remote import Answer, RemoteEvent
from bothways.model.values import Value, Values

# ---------------------------------------------------------------------------------------------------------------- log


@dataclass(frozen=True, slots=True)
class Message:
    """One message for a topic. ``value`` None is a tombstone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message as it lies on the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int

    def header(self, name: str) -> bytes | None:
        """The last header of that name."""
        for header, value in reversed(self.headers):
            if header == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Topic:
    """How a topic is made. ``retention_seconds`` None keeps for ever."""

    name: str
    compacted: bool = False
    retention_seconds: float | None = 7 * 24 * 3600
    partitions: int = 6


Partition = tuple[str, int]
"""Topic and partition number."""


class Appender(Protocol):
    """Appends in order, from one thread at a time; messages of one key stay in order and go to one partition (murmur2).

    Nothing is appended twice by the adapter's own retries.
    """

    def append(self, message: Message) -> int:
        """Queue the message; returns its number, 1 for the first. Blocks while the buffer is full.

        Raises what made an earlier append fail for good; nothing after a failed message counts as durable.
        """
        ...

    def durable(self) -> int:
        """The highest number up to which every message lies on the log, surviving a crash of it. Never blocks."""
        ...

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds until everything appended is durable; returns ``durable()``."""
        ...

    def close(self) -> None:
        """Let go. What is not durable may or may not be on the log."""
        ...


class Consumer(Protocol):
    """One member of a consumer group. Partitions are shared among the members; each has one reader at a time."""

    async def poll(self, limit: int, timeout: float) -> Sequence[Delivered]:
        """Up to ``limit`` next messages; waits up to ``timeout`` seconds for the first. In order per partition.

        A new group starts at the oldest message. A partition that comes (back) to this member starts at its committed
        offset.
        """
        ...

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offset to read, per partition. Partitions that are no longer ours are left alone."""
        ...

    async def close(self) -> None:
        """Leave the group at once, so that others take over. Commits nothing."""
        ...


class Log(Protocol):
    """Topics of keyed messages."""

    async def ensure(self, topics: Sequence[Topic]) -> None:
        """Make the topics that are missing; leaves those that exist as they are."""
        ...

    def appender(self) -> Appender:
        """A new appender of its own."""
        ...

    async def append(self, messages: Sequence[Message]) -> None:
        """Append and wait: on return all are durable. Raises ``Unavailable`` when that is not sure."""
        ...

    def consumer(self, group: str, topics: Sequence[str], revoked: Callable[[Sequence[Partition]], None]) -> Consumer:
        """Join a group. ``revoked`` is called on the event loop when partitions were taken away from this member."""
        ...


class LogReading(Protocol):
    """Reading without a group: for `tail`, for finding where a topic ends, for looking at lag."""

    async def tails(self, topics: Sequence[str]) -> Mapping[Partition, Delivered]:
        """The last message of each partition that has one."""
        ...

    def partition_of(self, topic: str, key: bytes | None) -> int:
        """Where ``append`` puts this key now."""
        ...

    def follow(self, topics: Sequence[str], *, from_start: bool) -> AsyncIterator[Delivered]:
        """Everything from now (or from the oldest) on, without end."""
        ...

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        """Per partition, how many messages the group has not committed."""
        ...


# ---------------------------------------------------------------------------------------------------------- catalogue


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
        """Store this state of a link that this transaction holds (or that is new)."""
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
        """What is due, skipping what others hold; it is due again after ``lease`` seconds unless it is unparked."""
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


# ------------------------------------------------------------------------------------------------------------- remote


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


# -------------------------------------------------------------------------------------------------------------- other


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
