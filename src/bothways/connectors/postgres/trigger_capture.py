"""Capture by triggers: what they put into the outbox becomes messages on the topics. No WAL, no replication rights.

NOTIFY only wakes up, and only who sleeps (``outbox_sleep.py``); what there is to do, the outbox says (``outbox.py``).
An advisory lock is the lease. One tick at a time: it is written down, its changes are appended, and once the log has
them all it is done. After a crash the tick in between is read again, the same changes in the same order, and
``resume.py`` leaves out what the log has.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

import structlog

from bothways.connectors.postgres.capture_session import Control
from bothways.connectors.postgres.envelope import Table
from bothways.connectors.postgres.outbox import Tick
from bothways.connectors.postgres.outbox_cleaner import OutboxCleaner
from bothways.connectors.postgres.outbox_frames import Frames, OutboxRow, OutboxShape, OutboxTable
from bothways.connectors.postgres.outbox_reader import OutboxReader
from bothways.connectors.postgres.outbox_sleep import Sleep
from bothways.connectors.postgres.pgoutput import Relation
from bothways.connectors.postgres.relations import Missed, Relations, nobody
from bothways.connectors.postgres.resume import Resume, left_off
from bothways.connectors.postgres.sink import Sink
from bothways.connectors.postgres.threaded import ReadableLog, ThreadedCapture, waiter
from bothways.connectors.postgres.transactions import Transactions
from bothways.connectors.postgres.wholeness import triggered
from bothways.eventlog.form import Form
from bothways.sync.mapping import TableMap

POLL_SECONDS = 1.0
"""So often the outbox is looked at without a notification: one may be lost."""
LOOK_AGAIN_SECONDS = 1.0
FLUSH_SECONDS = 0.5
"""After so long without the log's word, whether to stop is asked."""
CHUNK_BYTES = 64 * 1024

_logger = structlog.get_logger(__name__)


class PostgresTriggerCapture(ThreadedCapture):
    """A ``ports.Role``. ``name`` is Debezium's name of the server: the topics' prefix.

    Raises ``SourceLost`` where the outbox is not of the log's past; nothing past that place is done with. ``missed`` is
    told the entities of which changes could not be seen.
    """

    def __init__(
        self,
        url: str,
        tables: Sequence[TableMap],
        log: ReadableLog,
        *,
        name: str,
        form: Form | None = None,
        missed: Missed | None = None,
        fence: str | None = None,
        until: int | None = None,
    ) -> None:
        """``until``: ``run`` ends once the tick at this position is done. ``fence``: as in ``ThreadedCapture``."""
        super().__init__(log, tables, Relations(url, tables, triggered, name, missed or nobody, form), fence=fence)
        self._until = until
        self._url = url
        self._form = form or Form()
        self._cleaner = OutboxCleaner(url)

    async def run(self) -> None:
        self._cleaner = OutboxCleaner(self._url)
        cleaning = asyncio.create_task(self._cleaner.run())
        try:
            await super().run()
        finally:
            self._cleaner.stop()
            await cleaning

    def _work(self, control: Control, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        wait_for = waiter(loop)
        with contextlib.closing(OutboxReader(self._url)) as reader:
            source = reader.source()
            if not _acquire(control, reader):
                return
            wait_for(self._relations.look())
            # As in capture by the WAL: nobody else may append any more, and what we sent before has arrived.
            while not sink.renew(FLUSH_SECONDS):
                if control.stopping.is_set():
                    return
            ticks = reader.ticks()
            tails = wait_for(self._log.tails(sorted({table.topic for table in self._tables})))
            last = left_off(tails, source, ticks[-1].position, reader.past(ticks[-1]), self._form)
            shown: dict[Relation, Table | None] = {}

            def table_for(relation: Relation) -> Table | None:
                # Partitions of one table may come by turns, each with its columns in another order.
                if relation not in shown:
                    shown[relation] = wait_for(self._relations.table_for(relation))
                return shown[relation]

            resume = Resume(last, self._log.partition_of)
            outbox = Outbox(control, reader, Transactions(source, table_for, self._form), resume, sink)
            try:
                outbox.run(ticks, self._cleaner, self._until)
            finally:
                sink.abandon()  # who has the lock next sends it


class Outbox:
    """One connection's work: tick after tick, until it is lost or capture is told to stop."""

    def __init__(
        self, control: Control, reader: OutboxReader, transactions: Transactions, resume: Resume, sink: Sink
    ) -> None:
        self._control = control
        self._reader = reader
        self._transactions = transactions
        self._resume = resume
        self._sink = sink
        self._sleep = Sleep(control, reader)
        self._metrics = sink.metrics
        self._tables: dict[int, OutboxTable] = {}
        self._shapes: dict[int, OutboxShape] = {}
        self._shown: dict[int, tuple[OutboxTable, OutboxShape]] = {}
        """As the relation was described last."""

    def run(self, ticks: Sequence[Tick], cleaner: OutboxCleaner, until: int | None) -> None:
        """From the last tick that is done on; ``ticks`` begins with it."""
        done, *begun = ticks
        self._control.state = None
        cleaner.done(done)
        self._look()
        while not self._control.stopping.is_set():
            if until is not None and done.position >= until:
                self._control.stopping.set()
                return
            self._reader.notified = False
            tick = begun.pop(0) if begun else self._reader.tick(done)
            if tick is None:
                self._metrics.lag_seconds = 0.0
                if self._sleep.wait(POLL_SECONDS):
                    self._look()
            elif self._hand_out(done, tick):
                done = tick
                cleaner.done(tick)
                self._sleep.found()

    def _look(self) -> None:
        """What the tables are called, and what they show of old rows, may have changed."""
        self._tables = dict(self._reader.tables())

    def _hand_out(self, done: Tick, tick: Tick) -> bool:
        """False when told to stop before it was done: it is read again then."""
        frames = Frames(tick.position, time.time_ns() // 1000)
        with contextlib.closing(self._reader.rows(done, tick)) as rows:
            for _, transaction in groupby(rows, attrgetter("xid")):
                self._transaction(frames, transaction)
                if self._control.stopping.is_set():
                    return False
        self._append(frames)
        while not self._sink.flush(FLUSH_SECONDS):
            self._sink.durable()
            if self._control.stopping.is_set():
                return False
        self._sink.durable()
        return True

    def _transaction(self, frames: Frames, rows: Iterable[OutboxRow]) -> None:
        at_us = 0
        for row in rows:
            if not at_us:
                at_us = row.at_us
                frames.begin(row)
            if row.new is not None and row.relation is None:
                frames.marker(row.new)
            elif row.relation is not None and row.shape is not None:
                self._change(frames, row, row.relation, row.shape)
            if frames.size > CHUNK_BYTES:
                self._append(frames)
        frames.commit(at_us)

    def _change(self, frames: Frames, row: OutboxRow, oid: int, shape_id: int) -> None:
        table, shape = self._table(oid), self._shape(shape_id)
        if self._shown.get(oid) != (table, shape):
            self._shown[oid] = (table, shape)
            frames.relation(oid, table, shape)
        frames.change(row, oid, table, shape)

    def _append(self, frames: Frames) -> None:
        before = self._transactions.rows
        self._transactions.read(frames.take())
        self._metrics.rows += self._transactions.rows - before
        taken = self._transactions.take().messages
        messages = taken if self._resume.over else self._resume.new_of(taken)
        self._metrics.skipped += len(taken) - len(messages)
        self._sink.append(messages)
        self._metrics.lag_seconds = self._transactions.commit_lag_seconds

    # The connection is busy with the tick's rows, so that what is not known is asked on another.

    def _table(self, oid: int) -> OutboxTable:
        if oid not in self._tables:
            with contextlib.closing(OutboxReader(self._reader.url)) as other:
                self._tables = {oid: _GONE, **other.tables()}
        return self._tables[oid]

    def _shape(self, id: int) -> OutboxShape:
        if id not in self._shapes:
            with contextlib.closing(OutboxReader(self._reader.url)) as other:
                self._shapes = dict(other.shapes())
        return self._shapes[id]


_GONE = OutboxTable("", "", "d", frozenset())
"""Of no name that anybody maps."""


def _acquire(control: Control, reader: OutboxReader) -> bool:
    """Wait until nobody else reads the outbox; False when told to stop instead."""
    waited = False
    while not control.stopping.is_set():
        holder = reader.lock()
        if holder is None:
            if waited:
                _logger.info("capture.took_over")
            return True
        if not waited:
            waited = True
            _logger.info("capture.waits", reason="another process captures", server_process=holder)
        control.state = f"another capture reads the outbox (the server's process {holder}): waiting for it"
        control.stopping.wait(LOOK_AGAIN_SECONDS)
    return False
