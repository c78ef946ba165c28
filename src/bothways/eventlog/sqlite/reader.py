"""The one thread of a process that reads the file, and that notices what other processes have written."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from bothways.eventlog.loops import call_soon
from bothways.eventlog.sqlite.schema import connect, translated
from bothways.eventlog.sqlite.writer import Job, Work
from bothways.model.errors import BothwaysError, Unavailable

T = TypeVar("T")

WATCH_SECONDS = (0.002, 0.01)
"""Between two looks for what others have written: shortly after there was something, and after a long silence."""


_TROUBLED_SECONDS = 1.0


class Waiter:
    """Somebody on an event loop who wants to know when there may be something new."""

    def __init__(self, news: News) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._news = news
        news.join(self)

    async def wait(self, seconds: float) -> None:
        """Return when something has been written since the last ``clear``, at the latest after so many seconds."""
        if seconds <= 0 or self._event.is_set():
            return
        timer = self._loop.call_later(seconds, self._event.set)
        try:
            await self._event.wait()
        finally:
            timer.cancel()

    def clear(self) -> None:
        """Look after this, so that nothing is missed."""
        self._event.clear()

    def wake(self) -> None:
        """On the loop: end the wait."""
        self._event.set()

    def notify(self) -> None:
        """From any thread: end the wait."""
        if not self._event.is_set():
            call_soon(self._loop, self._event.set)

    def close(self) -> None:
        """Want nothing more."""
        self._news.leave(self)


class News:
    """Tells all waiters that something was written."""

    def __init__(self) -> None:
        self._waiters: tuple[Waiter, ...] = ()
        self._lock = threading.Lock()
        self.joined: Callable[[], None] = lambda: None
        """Called when there is a new waiter."""

    def __bool__(self) -> bool:
        return bool(self._waiters)

    def join(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiters = (*self._waiters, waiter)
        self.joined()

    def leave(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiters = tuple(w for w in self._waiters if w is not waiter)

    def tell(self) -> None:
        """From any thread."""
        for waiter in self._waiters:
            waiter.notify()


class Reader:
    """The thread. What it runs sees one state of the file, and writes nothing."""

    def __init__(self, path: Path, news: News) -> None:
        self._path = path
        self._news = news
        self._queue: deque[Work] = deque()
        self._wakened = threading.Condition()
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._seen = 0
        self._pause = WATCH_SECONDS[0]
        news.joined = self.nudge
        self._thread = threading.Thread(target=self._main, name="log-reader", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Queue a function to be run on one state of the file."""
        job = Job(function, synced=False)
        with self._wakened:
            if self._closed:
                raise Unavailable(f"the log {self._path} is closed")
            self._queue.append(job)
            self._wakened.notify()
        return job.future

    def close(self) -> None:
        """End after what is queued. Blocks."""
        with self._wakened:
            self._closed = True
            self._wakened.notify()
        self._thread.join()

    def nudge(self) -> None:
        """From any thread: look for news now."""
        with self._wakened:
            self._wakened.notify()

    def _main(self) -> None:
        while not (self._closed and not self._queue):
            job = self._next()
            if job is not None:
                self._run(job)
            self._watch()
        self._disconnect()

    def _next(self) -> Work | None:
        """The next job; None when it is time to look for news."""
        with self._wakened:
            if not self._queue and not self._closed:
                self._wakened.wait(self._pause if self._news else None)
            return self._queue.popleft() if self._queue else None

    def _run(self, job: Work) -> None:
        try:
            connection = self._connected()
            connection.execute("begin")
            job.run(connection)
            connection.execute("commit")
        except sqlite3.Error as error:
            self._disconnect()
            job.settle(translated(error, self._path))
        except Exception as error:  # noqa: BLE001 -- handed to whoever waits for the result
            self._disconnect()
            job.settle(error)
        else:
            job.settle(None)

    def _watch(self) -> None:
        """Tell everybody if the file has changed: by another process, or by our writer, who nudges."""
        try:
            seen = self._connected().execute("pragma data_version").fetchone()[0]
        except (sqlite3.Error, BothwaysError):
            # Whoever waits will ask, and be told what is wrong with the file.
            self._disconnect()
            self._pause = _TROUBLED_SECONDS
            self._news.tell()
            return
        if seen != self._seen:
            self._seen = seen
            self._pause = WATCH_SECONDS[0]
            self._news.tell()
        else:
            self._pause = min(self._pause * 1.05, WATCH_SECONDS[1])

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path, wait_seconds=10.0)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
