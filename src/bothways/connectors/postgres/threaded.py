"""A capture's thread: it reads the database and appends to the log; both block, and the event loop stays free."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import psycopg
import structlog

from bothways.connectors.postgres.capture_session import Control
from bothways.connectors.postgres.relations import Relations
from bothways.connectors.postgres.sink import Metrics, Sink
from bothways.model.errors import Transient
from bothways.ports import Log, LogReading
from bothways.sync.mapping import TableMap

LET_GO_SECONDS = 15.0
TABLES_SECONDS = 10.0
"""So often the mapped tables are looked at."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0

_logger = structlog.get_logger(__name__)
_T = TypeVar("_T")


class ReadableLog(Log, LogReading, Protocol):
    """A log that can be looked at, too."""


class WaitFor(Protocol):
    """Has the event loop do something, and waits for it in the thread."""

    def __call__(self, work: Coroutine[Any, Any, _T], /) -> _T: ...


class ThreadedCapture(ABC):
    """A ``ports.Role`` whose work is done by a thread of its own.

    A table that is not as the settings say concerns its own entity only: ``ready`` says so, and the others go on.
    """

    name = "capture"

    def __init__(
        self, log: ReadableLog, tables: Sequence[TableMap], relations: Relations, *, fence: str | None = None
    ) -> None:
        """``fence``: as in ``ports.Log.appender``; the same for all captures of which one may append at a time."""
        self.metrics = Metrics()
        self._log = log
        self._fence = fence
        self._tables = tables
        self._relations = relations
        self._control: Control | None = None

    @property
    def entities(self) -> Sequence[str]:
        """What is captured."""
        return [table.entity for table in self._tables]

    @property
    def troubles(self) -> Mapping[str, str]:
        """Entity → why it is not captured as the settings say; nothing of those that are."""
        return {entity: str(trouble) for entity, trouble in self._relations.troubles.items()}

    def ready(self) -> str | None:
        if self._control is None:
            return "not running"
        told = [f"{entity}: {reason}" for entity, reason in self.troubles.items()]
        return self._control.state or self.metrics.log_silent() or "; ".join(told) or None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        control = self._control = Control()
        done = loop.create_future()
        thread = threading.Thread(target=self._live, args=(control, loop, done), name=self.name, daemon=True)
        thread.start()
        watching = loop.create_task(self._watch_tables())
        try:
            while not done.done() and not watching.done():
                await asyncio.wait(
                    [done, watching], timeout=control.status_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                control.repeat_status()  # the thread may be blocked by a full log for longer than the server waits
            if not done.done():
                await _let_go(control, done)
                watching.result()
            done.result()
        except asyncio.CancelledError:
            await _let_go(control, done)
            raise
        finally:
            watching.cancel()
            control.close()
            self._control = None

    async def _watch_tables(self) -> None:
        """On the event loop, beside the thread, without end.

        A table that is dropped, or that nothing makes changes come of any more, falls silent: the thread cannot notice.
        """
        while True:
            await asyncio.sleep(TABLES_SECONDS)
            with contextlib.suppress(psycopg.Error, OSError, Transient):  # the thread says so
                await self._relations.look()

    @abstractmethod
    def _work(self, control: Control, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        """In the thread: connect, and work until told to stop. ``psycopg.Error`` and ``OSError`` mean: once more."""

    def _keep_connected(self, control: Control, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        """Lost connections are made again without end."""
        pause = FIRST_PAUSE_SECONDS
        while not control.stopping.is_set():
            try:
                self._work(control, loop, sink)
            except (psycopg.Error, OSError) as error:
                pause = FIRST_PAUSE_SECONDS if control.state is None else min(pause * 2, LONGEST_PAUSE_SECONDS)
                self.metrics.reconnects += 1
                control.state = f"the database does not answer: {str(error).strip()}"
                _logger.warning("the connection to the database was lost", error=str(error).strip(), again_in=pause)
                control.stopping.wait(pause * random.uniform(0.8, 1.2))

    def _live(self, control: Control, loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
        failure: Exception | None = None
        try:
            sink = Sink(lambda: self._log.appender(self._fence), self.metrics)
            try:
                self._keep_connected(control, loop, sink)
            finally:
                sink.close()
        except Exception as error:  # noqa: BLE001  # run() raises it: a thread has nobody to raise to
            failure = error
        with contextlib.suppress(RuntimeError):  # the event loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(_settle, done, failure)


def waiter(loop: asyncio.AbstractEventLoop) -> WaitFor:
    """For the thread."""

    def wait_for(work: Coroutine[Any, Any, _T], /) -> _T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    return wait_for


async def _let_go(control: Control, done: asyncio.Future[None]) -> None:
    """Have the thread end: it flushes and acknowledges. A log that does not answer is not waited for for ever."""
    control.stop()
    await asyncio.wait([done], timeout=LET_GO_SECONDS)
    if not done.done():
        _logger.warning("capture was left waiting for the log: what is not acknowledged will come again")
    elif done.exception() is not None:
        _logger.warning("capture did not stop well", error=str(done.exception()))


def _settle(done: asyncio.Future[None], failure: Exception | None) -> None:
    if done.done():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
