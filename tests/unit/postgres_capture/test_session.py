"""One connection's stream, where the order of events matters and no server can be made to keep it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bothways.connectors.postgres import pgoutput
from bothways.connectors.postgres.capture_session import Control, Session
from bothways.connectors.postgres.progress import Progress
from bothways.connectors.postgres.resume import Resume
from bothways.connectors.postgres.sink import Metrics, Sink
from bothways.connectors.postgres.transactions import Transactions
from bothways.eventlog.sqlite import SqliteLog
from bothways.ports import Topic
from tests.unit.postgres_capture import wire
from tests.unit.postgres_capture.test_transactions import OID, table_for, transaction


class Recorded:
    """A stream that was recorded: one piece of it, then nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.sent: list[bytes] = []

    def start(self, command: str) -> None: ...

    def receive(self) -> bytes:
        data, self._data = self._data, b""
        return data

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def fileno(self) -> int:
        raise AssertionError("it is not waited for: the session was told to stop")

    def close(self) -> None: ...


class Seen:
    """Whether a transaction can be read is said at once: no as soon as capture is to stop, which it is told here."""

    def __init__(self, control: Control, visible: bool) -> None:
        self._control = control
        self._visible = visible

    def wait(self, xids: Sequence[int], go_on: Callable[[], bool]) -> bool:
        self._control.stopping.set()
        return self._visible

    def close(self) -> None: ...


async def acknowledged(folder: Path, visible: bool) -> int:
    """A transaction and a keep-alive after it come together, and capture is told to stop meanwhile."""
    log = SqliteLog(folder / "log.db")
    await log.ensure([Topic("changes", partitions=1)])
    data = b"".join(map(wire.frame, transaction(wire.insert(OID, ["1", "a", ""])))) + wire.keep_alive(5000)
    control, stream, sink = Control(), Recorded(data), Sink(log.appender, Metrics())
    control.started(stream, 500, 10.0)
    try:
        session = Session(
            control,
            stream,
            Transactions("7-1", table_for),
            Progress(500),
            Resume({}, log.partition_of),
            sink,
            Seen(control, visible),
        )
        session.run()
        assert len(await log.tails(["changes"])) == int(visible)
    finally:
        control.close()
        sink.close()
        await log.close()
    assert stream.sent[-1] == pgoutput.status(control.confirmed_lsn, 0)[:30] + stream.sent[-1][30:]
    return control.confirmed_lsn


async def test_what_was_not_appended_is_not_acknowledged(tmp_path: Path) -> None:
    """Told to stop while nobody can read the rows yet: neither they nor what the server said after them counts."""
    assert await acknowledged(tmp_path, visible=False) == 500


async def test_what_was_appended_is_acknowledged_at_the_end(tmp_path: Path) -> None:
    """Up to what the server named last."""
    assert await acknowledged(tmp_path, visible=True) == 5000
