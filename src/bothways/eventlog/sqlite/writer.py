"""The one thread of a process that writes to the file: whatever waits goes into one transaction, with one fsync.

Appends are durable before anybody is told (``synchronous = full``). A transaction that only moves offsets or renews
leases is not synced: a power cut may undo it, and then messages are delivered again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from bothways.eventlog.sqlite.cleaner import Cleaner
from bothways.eventlog.sqlite.schema import begin, connect, translated
from bothways.model.errors import BothwaysError, Unavailable

T = TypeVar("T")

LOCK_SECONDS = 20.0
"""How long to wait while another process writes."""

_AT_ONCE = 500
"""Jobs in one transaction."""


class Work(Protocol):
    """Something to write."""

    @property
    def synced(self) -> bool:
        """Whether it must survive a power cut before it counts as done."""
        ...

    def run(self, connection: sqlite3.Connection) -> None:
        """Write, inside the transaction. An error of SQLite's fails the whole transaction, another only this work."""
        ...

    def settle(self, error: Exception | None) -> None:
        """The transaction is committed, or failed with this error, perhaps before ``run``. Called once."""
        ...


class Job(Generic[T]):
    """A function to be run in a transaction, and the future of its result."""

    def __init__(self, function: Callable[[sqlite3.Connection], T], *, synced: bool) -> None:
        self.future: Future[T] = Future()
        self._synced = synced
        self._function = function
        self._result: list[T] = []

    @property
    def synced(self) -> bool:
        return self._synced

    def run(self, connection: sqlite3.Connection) -> None:
        if not self.future.cancelled():
            self._result.append(self._function(connection))

    def settle(self, error: Exception | None) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        if error is not None:
            self.future.set_exception(error)
        elif self._result:
            self.future.set_result(self._result[0])


class Writer:
    """The thread. ``written`` is called in it after each transaction that changed something."""

    def __init__(self, path: Path, cleaner: Cleaner, written: Callable[[], None]) -> None:
        self._path = path
        self._cleaner = cleaner
        self._written = written
        self._queue: deque[Work] = deque()
        self._wakened = threading.Condition()
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._main, name="log-writer", daemon=True)
        self._thread.start()

    def add(self, work: Work) -> None:
        """Queue it. Raises ``Unavailable`` after ``close``."""
        with self._wakened:
            if self._closed:
                raise Unavailable(f"the log {self._path} is closed")
            self._queue.append(work)
            self._wakened.notify()

    def submit(self, function: Callable[[sqlite3.Connection], T], *, synced: bool = False) -> Future[T]:
        """Queue a function; its future holds once the transaction is committed."""
        job = Job(function, synced=synced)
        self.add(job)
        return job.future

    def close(self) -> None:
        """Write what is queued, then end. Blocks."""
        with self._wakened:
            self._closed = True
            self._wakened.notify()
        self._thread.join()

    def _main(self) -> None:
        while True:
            batch = self._take()
            if batch is None:
                break
            if batch:
                self._write(batch)
            else:
                self._clean()
        self._disconnect()

    def _take(self) -> list[Work] | None:
        """What is queued; nothing when it is time to clean; None at the end."""
        with self._wakened:
            while not self._queue:
                if self._closed:
                    return None
                patience = self._cleaner.due_in()
                if patience <= 0:
                    return []
                self._wakened.wait(patience)
            return [self._queue.popleft() for _ in range(min(len(self._queue), _AT_ONCE))]

    def _write(self, batch: list[Work]) -> None:
        errors: list[Exception | None] = [None] * len(batch)
        try:
            connection = self._begin(synced=any(work.synced for work in batch))
            for index, work in enumerate(batch):
                errors[index] = self._run(connection, work)
            connection.execute("commit")
        except (sqlite3.Error, BothwaysError) as error:
            errors = [self._failed(error)] * len(batch)
        else:
            self._written()
        for work, problem in zip(batch, errors, strict=True):
            work.settle(problem)

    def _run(self, connection: sqlite3.Connection, work: Work) -> Exception | None:
        """Run it so that it fails alone, if it fails for a reason of its own."""
        connection.execute("savepoint work")
        try:
            work.run(connection)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 -- handed to whoever waits for this work
            connection.execute("rollback to work")
            return error
        connection.execute("release work")
        return None

    def _begin(self, *, synced: bool) -> sqlite3.Connection:
        """A transaction that holds the file's write lock."""
        if self._connection is None:
            self._connection = connect(self._path, wait_seconds=LOCK_SECONDS)
        self._connection.execute(f"pragma synchronous = {'full' if synced else 'normal'}")
        begin(self._connection, LOCK_SECONDS)
        return self._connection

    def _clean(self) -> None:
        try:
            connection = self._begin(synced=False)
            self._cleaner.step(connection)
            connection.execute("commit")
        except (sqlite3.Error, BothwaysError) as error:
            self._cleaner.failed(self._failed(error))

    def _failed(self, error: sqlite3.Error | BothwaysError) -> Exception:
        """Give up the transaction and, since nobody knows what state it is in, the connection with it."""
        self._disconnect()
        return translated(error, self._path) if isinstance(error, sqlite3.Error) else error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
