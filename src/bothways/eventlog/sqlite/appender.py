"""Appending from a thread, without waiting for each message."""

from __future__ import annotations

import sqlite3
import threading
import time

from bothways.eventlog.sqlite import fences, store
from bothways.eventlog.sqlite.topics import Topics
from bothways.eventlog.sqlite.writer import Writer
from bothways.model.errors import Unavailable
from bothways.ports import Message

_BUFFER_MESSAGES = 20_000
_BUFFER_BYTES = 32 * 1024 * 1024
_BESIDE_BYTES = 100_000
"""Room for a message's key and headers."""
_AT_ONCE = 5_000
"""Messages in one transaction, so that others who write wait for milliseconds only."""


class SqliteAppender:
    """Collects messages until the writer takes them, as many as there are, into its next transaction.

    A transaction that fails, for want of space say, ends the appender: every later call raises why. What was appended
    and is not durable is then not on the log.
    """

    def __init__(self, writer: Writer, topics: Topics, held: fences.Held | None = None) -> None:
        self.held = held
        self._writer = writer
        self._topics = topics
        self._changed = threading.Condition()
        self._waiting: list[Message] = []
        self._waiting_bytes = 0
        self._appended = 0
        self._durable = 0
        self._queued = False
        self._written = False
        """A transaction that nobody knows the end of holds some of our messages."""
        self._failure: Exception | None = None

    @property
    def large_bytes(self) -> int:
        return store.LARGEST_BYTES - _BESIDE_BYTES

    def append(self, message: Message) -> int:
        store.check(message, self._topics.get(message.topic))
        size = store.size_of(message)
        with self._changed:
            while self._failure is None and self._is_full():
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            self._waiting.append(message)
            self._waiting_bytes += size
            self._appended += 1
            if not self._queued:
                self._queue()
            return self._appended

    def durable(self) -> int:
        if self._failure is not None:
            raise self._failure
        return self._durable

    def flush(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._durable < self._appended and self._failure is None:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
        return self.durable()

    def abandon(self, timeout: float) -> bool:
        self.fail(Unavailable("the appender was given up"))
        with self._changed:
            return self._changed.wait_for(lambda: not self._written, timeout)

    def close(self) -> None:
        self.fail(Unavailable("the appender is closed"))

    def take(self) -> list[Message]:
        """For the writer: what is to be written next."""
        with self._changed:
            taken, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            self._waiting_bytes = sum(map(store.size_of, self._waiting)) if self._waiting else 0
            self._written = bool(taken)
            return taken

    def wrote(self, count: int) -> None:
        """For the writer: so many more are durable."""
        with self._changed:
            self._durable += count
            self._queued = self._written = False
            if self._waiting:
                self._queue()
            self._changed.notify_all()

    def failed(self, error: Exception) -> None:
        """For the writer: what it took is not on the log."""
        with self._changed:
            self._written = False
        self.fail(error)

    def fail(self, error: Exception) -> None:
        """Nothing more becomes durable."""
        with self._changed:
            self._failure = self._failure or error
            self._waiting.clear()
            self._changed.notify_all()

    def _queue(self) -> None:
        """Ask for a turn at the writer."""
        try:
            self._writer.add(_Batch(self, self._topics))
        except Unavailable as error:
            self._failure = error
        else:
            self._queued = True

    def _is_full(self) -> bool:
        return len(self._waiting) >= _BUFFER_MESSAGES or self._waiting_bytes >= _BUFFER_BYTES


class _Batch:
    """An appender's turn at the writer."""

    def __init__(self, appender: SqliteAppender, topics: Topics) -> None:
        self._appender = appender
        self._topics = topics
        self._count = 0

    @property
    def synced(self) -> bool:
        return True

    def run(self, connection: sqlite3.Connection) -> None:
        if self._appender.held is not None:
            fences.check(connection, self._appender.held)
        messages = self._appender.take()
        store.insert(connection, self._topics.known, messages)
        self._count = len(messages)

    def settle(self, error: Exception | None) -> None:
        if error is None:
            self._appender.wrote(self._count)
        else:
            self._appender.failed(error)
