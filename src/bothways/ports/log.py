"""The log: topics, messages, who appends and who consumes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


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
    """How a topic is made. ``retention_seconds``: how long it keeps messages, None: for ever.

    Of a compacted topic: how long at most what was replaced or deleted can still be read there.
    """

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

    @property
    def large_bytes(self) -> int:
        """A value of at most so many bytes is never refused for its size, beside a key and headers of a few hundred."""
        ...

    def append(self, message: Message) -> int:
        """Queue the message; returns its number, 1 for the first. Blocks while the buffer is full.

        Raises what made an earlier append fail for good; nothing after a failed message counts as durable.
        """
        ...

    def durable(self) -> int:
        """The highest number up to which every message lies on the log, surviving a crash of it. Never blocks.

        Raises what made an append fail for good, as ``append`` does.
        """
        ...

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds until everything appended is durable; returns or raises as ``durable()``."""
        ...

    def abandon(self, timeout: float) -> bool:
        """Send nothing more; what was queued and not sent is forgotten. Any ``append`` raises from now on.

        Whether it is known, within ``timeout`` seconds, what became of all that was sent; ask again until it is. A
        message after a forgotten one is never on the log.
        """
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

    def appender(self, fence: str | None = None) -> Appender:
        """A new appender of its own; blocks for a moment.

        It shuts out all earlier ones of the same ``fence``, of any process, where the log can do that: their appends
        fail with ``Unavailable``. SQLite can; Kafka can by transactions only, which are not used (docs/decisions/0007).
        """
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
