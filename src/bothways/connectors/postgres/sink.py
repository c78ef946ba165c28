"""Where capture puts its messages, how far that is, and what capture has done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import structlog

from bothways.connectors.postgres.envelope import Appendable
from bothways.connectors.postgres.oversize import append_large
from bothways.ports import Appender, Message

SILENT_SECONDS = 10.0
"""A log that confirms nothing for so long is not ready. While appends never pause, two seconds of it are usual."""

_logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Metrics:
    """What capture has done since it was made, and how far behind it is."""

    rows: int = 0
    """Changes of mapped tables that were read, those that the log has already included."""
    messages: int = 0
    """Appended to the log."""
    read_bytes: int = 0
    """Of the replication stream."""
    skipped: int = 0
    """Messages that the log had already."""
    reconnects: int = 0
    acknowledged_lsn: int = 0
    lag_bytes: int = 0
    """WAL between what the server last named and what was acknowledged."""
    lag_seconds: float = 0.0
    """By the server's clock, between the commit of the transaction read last and its sending; 0 when all is read."""
    waits_since: float | None = None
    """The monotonic time since which the log has confirmed nothing, though something waits for that."""

    def log_silent(self) -> str | None:
        """That the log has not answered for long."""
        since = self.waits_since
        if since is None or (seconds := time.monotonic() - since) < SILENT_SECONDS:
            return None
        return f"the log has confirmed nothing for {seconds:.0f} s: is it away? What changes meanwhile waits"


@runtime_checkable
class BatchAppender(Protocol):
    """An appender that takes many messages at once, without an object for each."""

    def append_many(self, messages: Sequence[Appendable]) -> int:
        """As ``append`` for each (topic, key, value, headers) in turn; returns the last one's number."""
        ...


class Sink:
    """The appender, and how far it is. It is opened by ``renew``, or when there is something to append."""

    def __init__(self, open_appender: Callable[[], Appender], metrics: Metrics) -> None:
        self._open_appender = open_appender
        self._appender: Appender | None = None
        self._append_many: Callable[[Sequence[Appendable]], int] = self._append_first
        self.metrics = metrics
        self.number = 0
        """Of the last message appended to this appender."""
        self._confirmed = 0
        self._large_bytes = 0

    def renew(self, seconds: float) -> bool:
        """Go on with a new appender, which counts from 1. What the old one had and did not send is forgotten.

        False where it is not known, after so long, what became of what was sent: then this is to be called again.
        """
        if self._appender is not None:
            if not self._appender.abandon(seconds):
                return False
            self._appender.close()
        self._open()
        return True

    def abandon(self) -> None:
        """Send nothing more of what waits."""
        self.metrics.waits_since = None
        if self._appender is not None:
            self._appender.abandon(0.0)

    def _open(self) -> Appender:
        appender = self._appender = self._open_appender()
        self._append_many = appender.append_many if isinstance(appender, BatchAppender) else self._append_each
        self._large_bytes = appender.large_bytes
        self.number = self._confirmed = 0
        return appender

    def _append_first(self, messages: Sequence[Appendable]) -> int:
        self._open()
        return self._append_many(messages)

    def append(self, messages: Sequence[Appendable]) -> None:
        """Append in order; blocks while the log's buffer is full."""
        start = 0
        for place in [
            n for n, (_, _, value, _) in enumerate(messages) if value is not None and len(value) > self._large_bytes
        ]:
            self._append(messages[start:place])
            self._append_one(messages[place])
            start = place + 1
        self._append(messages[start:] if start else messages)

    def _append(self, messages: Sequence[Appendable]) -> None:
        if messages:
            self.number = self._append_many(messages)
            self.metrics.messages += len(messages)

    def _append_one(self, message: Appendable) -> None:
        self.number, left_out = append_large(lambda each: self._append_each([each]), message, self._large_bytes)
        self.metrics.messages += 1
        if left_out:
            _logger.warning("values too large for a message were left out", topic=message[0], columns=left_out)

    def durable(self) -> int:
        """The number up to which everything lies on the log."""
        if self._appender is None:
            return 0
        number = self._appender.durable()
        if number >= self.number:
            self.metrics.waits_since = None
        elif number > self._confirmed or self.metrics.waits_since is None:
            self.metrics.waits_since = time.monotonic()
        self._confirmed = number
        return number

    def flush(self, seconds: float) -> bool:
        """Wait until everything does, at most so long; whether it does."""
        return self._appender is None or self._appender.flush(seconds) >= self.number

    def close(self) -> None:
        """Let go of the appender."""
        if self._appender is not None:
            self._appender.close()

    def _append_each(self, messages: Sequence[Appendable]) -> int:
        number, appender = self.number, self._appender or self._open()
        for topic, key, value, headers in messages:
            number = appender.append(Message(topic, key, value, tuple(headers)))
        return number
