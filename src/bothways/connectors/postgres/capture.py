"""Capture: what changes in the mapped tables becomes messages on their topics, by way of PostgreSQL's WAL.

One thread reads the stream, encodes rows and appends them (``capture_session.py``); the event loop stays free. The slot
is the lease: the server lets one reader have it, and a second capture waits for it. What may be acknowledged is
``progress.py``'s matter, what was appended before a restart ``resume.py``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial

import psycopg
import structlog

from bothways.connectors.postgres.capture_session import Control, Session
from bothways.connectors.postgres.envelope import Table
from bothways.connectors.postgres.pgoutput import Relation
from bothways.connectors.postgres.progress import Progress
from bothways.connectors.postgres.relations import Missed, Relations, nobody
from bothways.connectors.postgres.replication import Replication, Server
from bothways.connectors.postgres.resume import Resume, left_off
from bothways.connectors.postgres.sink import Sink
from bothways.connectors.postgres.stream import Stream
from bothways.connectors.postgres.threaded import ReadableLog, ThreadedCapture, waiter
from bothways.connectors.postgres.transactions import Transactions
from bothways.connectors.postgres.visible import Visible
from bothways.connectors.postgres.wholeness import published, refuse_outbox
from bothways.eventlog.form import Form
from bothways.model.errors import SourceLost
from bothways.sync.mapping import TableMap

LOOK_AGAIN_SECONDS = 1.0

_logger = structlog.get_logger(__name__)


class PostgresCapture(ThreadedCapture):
    """A ``ports.Role``. ``name`` is Debezium's name of the server: the topics' prefix.

    Raises ``SourceLost`` where the WAL cannot be read on from where the log stands; nothing past that place is
    acknowledged. ``missed`` is told the entities of which changes could not be seen.
    """

    def __init__(
        self,
        url: str,
        tables: Sequence[TableMap],
        log: ReadableLog,
        *,
        slot: str,
        publication: str,
        name: str,
        form: Form | None = None,
        missed: Missed | None = None,
        until_lsn: int | None = None,
    ) -> None:
        """``until_lsn``: ``run`` ends once everything that was committed before it is on the log."""
        cover = partial(published, name=publication)
        relations = Relations(url, tables, cover, name, missed or nobody, form)
        super().__init__(log, tables, relations, fence=f"capture by {slot}")
        self._url = url
        self._slot = slot
        self._publication = publication
        self._form = form or Form()
        self._until_lsn = until_lsn

    def _work(self, control: Control, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        try:
            replication = Replication(self._url, self._slot, self._publication)
            try:
                self._stream(control, loop, sink, replication)
            finally:
                replication.close()
        except psycopg.errors.UndefinedObject as error:
            raise SourceLost(str(error), hint="run `bothways setup`, then `bothways backfill`") from error

    def _stream(self, control: Control, loop: asyncio.AbstractEventLoop, sink: Sink, replication: Replication) -> None:
        wait_for = waiter(loop)
        server = replication.server()
        stream = _acquire(control, replication, server)
        if stream is None:
            return
        try:
            relations = self._relations
            wait_for(relations.look())
            if self._until_lsn is None:
                wait_for(refuse_outbox(self._url))
            # Before it is looked at what the log has: nobody else may append any more, and what we sent on an earlier
            # connection has arrived.
            while not sink.renew(control.status_seconds):
                if control.stopping.is_set():
                    return
                control.repeat_status()
            tails = wait_for(self._log.tails(sorted({table.topic for table in self._tables})))
            last = left_off(tails, server.source, wait_for(relations.wal_end()), server.past, self._form)

            def table_for(relation: Relation) -> Table | None:
                return wait_for(relations.table_for(relation))

            transactions = Transactions(server.source, table_for, self._form)
            transactions.until_lsn = self._until_lsn
            resume = Resume(last, self._log.partition_of)
            progress = Progress(control.confirmed_lsn)
            with contextlib.closing(Visible(self._url)) as visible:
                Session(control, stream, transactions, progress, resume, sink, visible).run()
        finally:
            control.stream = None
            sink.abandon()  # who is given the slot next sends it
            stream.close()


def _acquire(control: Control, replication: Replication, server: Server) -> Stream | None:
    """Start the stream, once nobody else reads the slot; None when told to stop instead."""
    waited = False
    while not control.stopping.is_set():
        slot = replication.slot()
        if slot.active_pid is None:
            with contextlib.suppress(psycopg.errors.ObjectInUse):  # somebody was faster
                stream = replication.start()
                control.started(stream, slot.confirmed_lsn, server.status_seconds, server.lease_seconds)
                if waited:
                    _logger.info("capture.took_over")
                return stream
        if not waited:
            waited = True
            _logger.info("capture.waits", reason="another process captures", server_process=slot.active_pid)
        control.state = f"another capture reads the slot (the server's process {slot.active_pid}): waiting for it"
        control.stopping.wait(LOOK_AGAIN_SECONDS)
    return None
