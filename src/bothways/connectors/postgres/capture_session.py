"""One connection's stream: read, append, acknowledge, until it is lost or capture is told to stop."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import psycopg
import structlog

from bothways.connectors.postgres import pgoutput
from bothways.connectors.postgres.progress import Progress
from bothways.connectors.postgres.resume import Resume
from bothways.connectors.postgres.sink import Sink
from bothways.connectors.postgres.stream import Frames, Stream, wait
from bothways.connectors.postgres.transactions import ReachedEnd, Transactions
from bothways.model.errors import MappingBroken, SourceLost

ACKNOWLEDGE_SECONDS = 0.2
"""What the log has is acknowledged so often, at most."""
NAP_SECONDS = 0.001
NAP_FROM_BYTES, NAP_BELOW_BYTES = 4_096, 48 * 1024
"""A stream that brings so much at a time is busy. Then a short sleep lets more come together: the server sends every
row by itself and wakes us up for each as long as we wait for it, which halves what it can send."""
HURRY_SECONDS = 0.005
"""When nothing more is there to read, the log is asked to let nothing linger, and given so long for it."""
BURST_BYTES, BREATH_SECONDS = 32 * 1024, 0.003
"""After so much without a pause, a short one is no sign that nothing more is there: the server may be waiting for a
processor. To hurry the log then would cut its batches small."""
FLUSH_SECONDS = 10.0

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_logger = structlog.get_logger(__name__)


class Waiting(Protocol):
    """``Visible``."""

    def wait(self, xids: Sequence[int], go_on: Callable[[], bool]) -> bool:
        """Return when all of these transactions can be read; False when ``go_on`` said no before."""
        ...


class Source(Protocol):
    """What can be waited for."""

    def fileno(self) -> int:
        """Its descriptor, which has input when something comes."""
        ...


class Control:
    """What the thread and the event loop know of each other."""

    def __init__(self) -> None:
        self.state: str | None = "connecting"
        """None while the stream is read, else why it is not."""
        self.stopping = threading.Event()
        self.status_seconds = 0.5  # until the server has said what it wants
        self.confirmed_lsn = 0
        self.stream: Stream | None = None
        self._lease_seconds = math.inf
        self._alive_at = 0.0
        """When the server was last sent something."""
        self._late = False
        self._wake, self._woken = socket.socketpair()

    def started(
        self, stream: Stream, confirmed_lsn: int, status_seconds: float, lease_seconds: float = math.inf
    ) -> None:
        """The server streams, to us as long as it hears of us within ``lease_seconds``."""
        self._lease_seconds, self._alive_at, self._late = lease_seconds, _now(), False
        self.confirmed_lsn, self.status_seconds, self.stream = confirmed_lsn, status_seconds, stream

    def check_lease(self) -> None:
        """Raises ``ConnectionError`` where this process stood still so long that somebody else may have the slot."""
        self._late = self._late or _now() - self._alive_at > self._lease_seconds
        if self._late:
            raise ConnectionError(
                "this process stood still for longer than the server waits: the slot may be another's"
            )

    def repeat_status(self) -> None:
        """By any thread: acknowledge once more what was acknowledged last, so that the server knows that we live."""
        stream = self.stream
        if stream is not None:
            now = _now()
            # Whether we were late is seen here, too: what is sent now must not hide it.
            self._late = self._late or now - self._alive_at > self._lease_seconds
            self._alive_at = now
            with contextlib.suppress(OSError, psycopg.Error):  # the thread that reads will find out, too
                stream.send(pgoutput.status(self.confirmed_lsn, time.time_ns() // 1000))

    def stop(self) -> None:
        """From the event loop: come to an end."""
        self.stopping.set()
        self._wake.send(b"!")

    def wait(self, source: Source, seconds: float) -> None:
        """Until the stream (or connection) has something, or ``stop``."""
        wait(source.fileno(), seconds, self._woken.fileno())

    def close(self) -> None:
        """The role has ended."""
        self._wake.close()
        self._woken.close()


class Session:
    """Reads one stream. A lost connection raises ``psycopg.Error`` or ``OSError``; what the log raises goes through."""

    def __init__(
        self,
        control: Control,
        stream: Stream,
        transactions: Transactions,
        progress: Progress,
        resume: Resume,
        sink: Sink,
        visible: Waiting,
    ) -> None:
        self._visible = visible
        self._control = control
        self._stream = stream
        self._transactions = transactions
        self._progress = progress
        self._resume = resume
        self._sink = sink
        self._metrics = sink.metrics
        self._frames = Frames()
        self._server_lsn = 0
        self._hurried = 0
        self._burst_bytes = 0
        self._sent_at = self._look_at = 0.0

    def run(self) -> None:
        """Until told to stop: then what was read is flushed and acknowledged."""
        self._control.state = None
        try:
            while not self._control.stopping.is_set():
                self._turn()
        except (MappingBroken, SourceLost):
            self._finish()  # what came before is good
            raise
        except ReachedEnd:
            while not self._sink.flush(FLUSH_SECONDS) and self._goes_on():
                self._control.repeat_status()
            self._control.stopping.set()
        self._finish()

    def _turn(self) -> None:
        data = self._stream.receive()
        if data:
            self._metrics.read_bytes += len(data)
            self._burst_bytes += len(data)
            self._take_in(data)
        elif self._burst_bytes > BURST_BYTES:
            self._burst_bytes = 0
            self._control.wait(self._stream, BREATH_SECONDS)
            return
        else:
            self._hurry()
        self._acknowledge(time.monotonic())
        if not data:
            self._burst_bytes = 0
            self._control.wait(self._stream, self._idle_seconds())
        elif NAP_FROM_BYTES <= len(data) < NAP_BELOW_BYTES:
            time.sleep(NAP_SECONDS)

    def _finish(self) -> None:
        self._sink.flush(FLUSH_SECONDS)
        self._look_at = 0.0
        self._acknowledge(time.monotonic())

    def _hurry(self) -> None:
        if self._sink.number > self._hurried and self._sink.flush(HURRY_SECONDS):
            self._hurried = self._sink.number
            self._look_at = self._sent_at + ACKNOWLEDGE_SECONDS

    def _take_in(self, data: bytes) -> None:
        whole = self._frames.add(data)
        if whole is None:
            return
        transactions, before = self._transactions, self._transactions.rows
        try:
            used = transactions.read(whole)
        finally:  # a relation that broke its mapping: what came before it is good
            self._metrics.rows += transactions.rows - before
            appended = self._append_taken()
        if not appended:
            return
        self._frames.keep(whole[used:])
        alive, transactions.keep_alive = transactions.keep_alive, None
        if alive is not None:
            self._kept_alive(alive)

    def _append_taken(self) -> bool:
        """False when told to stop before it was done: nothing that comes after may be acknowledged then."""
        taken = self._transactions.take()
        messages = taken.messages
        if not self._resume.over:
            messages = self._resume.new_of(messages)
            self._metrics.skipped += len(taken.messages) - len(messages)
        if messages and not self._visible.wait(taken.xids, self._goes_on):
            return False  # the server sends them again
        self._control.check_lease()
        self._sink.append(messages)
        if taken.end_lsn is not None:
            self._progress.reached(self._sink.number, taken.end_lsn)
            self._server_lsn = max(self._server_lsn, taken.end_lsn)
            self._metrics.lag_seconds = self._transactions.commit_lag_seconds
        return True

    def _goes_on(self) -> bool:
        return not self._control.stopping.is_set()

    def _kept_alive(self, alive: pgoutput.KeepAlive) -> None:
        self._server_lsn = max(self._server_lsn, alive.wal_end)
        if not self._transactions.in_transaction:
            if self._transactions.until_lsn is not None and alive.wal_end >= self._transactions.until_lsn:
                raise ReachedEnd
            self._progress.reached(self._sink.number, alive.wal_end)
            self._metrics.lag_seconds = 0.0
        if alive.wants_reply:
            self._sent_at = self._look_at = 0.0

    def _acknowledge(self, now: float) -> None:
        """Tell the server what the log has: now and then, when it asks, and as a sign of life."""
        if now < self._look_at:
            return
        control, progress = self._control, self._progress
        progress.settle(self._sink.durable())
        if progress.confirmed_lsn > control.confirmed_lsn or now - self._sent_at >= control.status_seconds:
            control.confirmed_lsn = progress.confirmed_lsn
            control.repeat_status()
            self._sent_at = now
        self._metrics.acknowledged_lsn = progress.confirmed_lsn
        self._metrics.lag_bytes = max(0, self._server_lsn - progress.confirmed_lsn)
        self._look_at = now + ACKNOWLEDGE_SECONDS

    def _idle_seconds(self) -> float:
        return ACKNOWLEDGE_SECONDS if self._progress.waits else self._control.status_seconds


def _now() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)
