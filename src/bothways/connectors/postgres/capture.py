"""Capture: what changes in the mapped tables becomes messages on their topics, by way of PostgreSQL's WAL.

One thread reads the stream, encodes rows and appends them (``capture_session.py``); the event loop stays free. The slot
is the lease: the server lets one reader have it, and a second capture waits for it. What may be acknowledged is
``progress.py``'s matter, what was appended before a restart ``resume.py``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import psycopg
import structlog

from bothways.connectors.postgres.capture_session import Control, Metrics, Session, Sink
from bothways.connectors.postgres.envelope import Table
from bothways.connectors.postgres.pgoutput import Relation
from bothways.connectors.postgres.progress import Progress
from bothways.connectors.postgres.relations import Relations
from bothways.connectors.postgres.replication import Replication, Server
from bothways.connectors.postgres.resume import Resume, last_positions
from bothways.connectors.postgres.stream import Stream
from bothways.connectors.postgres.transactions import Transactions
from bothways.connectors.postgres.visible import Visible
from bothways.model.errors import SourceLost
from bothways.ports import Log, LogReading
from bothways.sync.mapping import TableMap

LET_GO_SECONDS = 15.0
LOOK_AGAIN_SECONDS = 1.0
TABLES_SECONDS = 30.0
"""So often the mapped tables are looked for."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0

_logger = structlog.get_logger(__name__)
_T = TypeVar("_T")


class ReadableLog(Log, LogReading, Protocol):
    """A log that can be looked at, too."""


class PostgresCapture:
    """A ``ports.Role``. ``name`` is Debezium's name of the server: the topics' prefix.

    Raises ``SourceLost`` where the WAL cannot be read on from where the log stands, and ``MappingBroken`` when a mapped
    table or column is gone; nothing past that place is acknowledged. Lost connections are made again without end.
    """

    name = "capture"

    def __init__(
        self, url: str, tables: Sequence[TableMap], log: ReadableLog, *, slot: str, publication: str, name: str
    ) -> None:
        self.metrics = Metrics()
        self._url = url
        self._tables = tables
        self._log = log
        self._slot = slot
        self._publication = publication
        self._prefix = name
        self._control: Control | None = None

    def ready(self) -> str | None:
        return "not running" if self._control is None else self._control.state

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
        """A table that is dropped, or taken out of the publication, falls silent: the stream says nothing of it."""
        relations = Relations(self._url, self._tables, self._publication, self._prefix, "")
        while True:
            await asyncio.sleep(TABLES_SECONDS)
            with contextlib.suppress(psycopg.Error, OSError):  # the thread says so
                await relations.open()

    # --------------------------------------------------------------------------------------------- in the thread

    def _live(self, control: Control, loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
        failure: Exception | None = None
        try:
            sink = Sink(self._log.appender(), self.metrics)
            try:
                self._keep_connected(control, loop, sink)
            finally:
                sink.close()
        except Exception as error:  # noqa: BLE001  # run() raises it: a thread has nobody to raise to
            failure = error
        with contextlib.suppress(RuntimeError):  # the event loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(_settle, done, failure)

    def _keep_connected(self, control: Control, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not control.stopping.is_set():
            try:
                replication = Replication(self._url, self._slot, self._publication)
                try:
                    self._stream(control, loop, sink, replication)
                finally:
                    replication.close()
            except psycopg.errors.UndefinedObject as error:
                raise SourceLost(str(error), hint="run `bothways setup`, then `bothways backfill`") from error
            except (psycopg.Error, OSError) as error:
                pause = FIRST_PAUSE_SECONDS if control.state is None else min(pause * 2, LONGEST_PAUSE_SECONDS)
                self.metrics.reconnects += 1
                control.state = f"the database does not answer: {str(error).strip()}"
                _logger.warning("the replication connection was lost", error=str(error).strip(), again_in=pause)
                control.stopping.wait(pause * random.uniform(0.8, 1.2))

    def _stream(self, control: Control, loop: asyncio.AbstractEventLoop, sink: Sink, replication: Replication) -> None:
        def wait_for(work: Coroutine[Any, Any, _T]) -> _T:
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        server = replication.server()
        stream = _acquire(control, replication, server)
        if stream is None:
            return
        try:
            relations = Relations(self._url, self._tables, self._publication, self._prefix, server.database)
            wait_for(relations.open())
            # Whoever had the slot before has appended its last message by now; so have we, on an earlier connection.
            while not sink.flush(control.status_seconds) and not control.stopping.is_set():
                control.repeat_status()
            tails = wait_for(self._log.tails(sorted({table.topic for table in self._tables})))
            last = last_positions(tails, server.source, wait_for(relations.wal_end()))

            def table_for(relation: Relation) -> Table | None:
                return wait_for(relations.table_for(relation))

            transactions = Transactions(server.source, table_for)
            resume = Resume(last, self._log.partition_of)
            progress = Progress(control.confirmed_lsn)
            with contextlib.closing(Visible(self._url)) as visible:
                Session(control, stream, transactions, progress, resume, sink, visible).run()
        finally:
            control.stream = None
            stream.close()


async def _let_go(control: Control, done: asyncio.Future[None]) -> None:
    """Have the thread end: it flushes and acknowledges. A log that does not answer is not waited for for ever."""
    control.stop()
    await asyncio.wait([done], timeout=LET_GO_SECONDS)
    if not done.done():
        _logger.warning("capture was left waiting for the log: what is not acknowledged will come again")
    elif done.exception() is not None:
        _logger.warning("capture did not stop well", error=str(done.exception()))


def _acquire(control: Control, replication: Replication, server: Server) -> Stream | None:
    """Start the stream, once nobody else reads the slot; None when told to stop instead."""
    waited = False
    while not control.stopping.is_set():
        slot = replication.slot()
        if slot.active_pid is None:
            with contextlib.suppress(psycopg.errors.ObjectInUse):  # somebody was faster
                stream = replication.start()
                control.started(stream, slot.confirmed_lsn, server.status_seconds)
                if waited:
                    _logger.info("capture.took_over")
                return stream
        if not waited:
            waited = True
            _logger.info("capture.waits", reason="another process captures", server_process=slot.active_pid)
        control.state = f"another capture reads the slot (the server's process {slot.active_pid}): waiting for it"
        control.stopping.wait(LOOK_AGAIN_SECONDS)
    return None


def _settle(done: asyncio.Future[None], failure: Exception | None) -> None:
    if done.done():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
