"""The SQLite log passes the suite, and does what only it does."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bothways.eventlog.sqlite import Cleaning, SqliteLog
from bothways.model.errors import SettingsError, Unavailable
from bothways.ports import Message, Partition, Topic
from tests.suites.log.append import AppendSuite
from tests.suites.log.groups import GroupSuite
from tests.suites.log.programs import numbered
from tests.suites.log.reading import ReadingSuite
from tests.suites.log.support import collect, everything, moments, next_offsets, numbers, upto

SOON = Cleaning(interval_seconds=0.1, compact_after=1)


class SqliteFixtures:
    """An SQLite file in the test's own folder."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'test.db'}"

    @pytest.fixture
    async def compacting(self, tmp_path: Path) -> AsyncIterator[tuple[SqliteLog, str]]:
        log = SqliteLog(tmp_path / "test.db", SOON)
        await log.ensure([Topic("compacted", compacted=True, partitions=1)])
        yield log, "compacted"
        await log.close()

    @pytest.fixture
    async def forgetful(self, tmp_path: Path) -> AsyncIterator[tuple[SqliteLog, str]]:
        log = SqliteLog(tmp_path / "test.db", SOON)
        await log.ensure([Topic("forgetful", retention_seconds=0.2, partitions=1)])
        yield log, "forgetful"
        await log.close()


class TestAppend(SqliteFixtures, AppendSuite):
    """Appending."""


class TestGroups(SqliteFixtures, GroupSuite):
    """Groups."""


class TestReading(SqliteFixtures, ReadingSuite):
    """Reading."""


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses this process's writes beyond that size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_write_that_fails_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """The error says what to do, and with room again the log goes on where it was."""
    log = SqliteLog(tmp_path / "test.db")
    await log.ensure([Topic("t", partitions=1)])
    confirmed = 0
    appender = log.appender()
    large = bytes(100_000)
    with files_no_larger_than(1_000_000):
        trouble = None
        while trouble is None and confirmed < 50:
            try:
                await log.append([Message("t", b"k", b"%d" % confirmed + large)])
                confirmed += 1
            except Unavailable as error:
                trouble = error
        assert trouble is not None
        appender.append(Message("t", b"k", b"lost" + large))
        with pytest.raises(Unavailable):
            appender.flush(10.0)
        with pytest.raises(Unavailable):
            appender.durable()
        with pytest.raises(Unavailable):
            appender.append(numbered("t", 1))
    assert str(tmp_path / "test.db") in str(trouble)
    assert trouble.hint
    assert confirmed
    await log.append([Message("t", b"k", b"after")])
    again = log.appender()
    again.append(Message("t", b"k", b"later"))
    assert again.flush(10.0) == 1
    found = await everything(log, "t", confirmed + 2)
    assert [int(d.value.rstrip(b"\0")) for d in found[:-2] if d.value] == list(range(confirmed))
    assert [d.value for d in found[-2:]] == [b"after", b"later"]
    assert [d.offset for d in found] == list(range(confirmed + 2))
    await log.close()


async def test_a_newer_appender_shuts_out_older_ones(tmp_path: Path) -> None:
    """Of the same fence, in whatever process; others go on. What the older one appended before is there."""
    log, other = SqliteLog(tmp_path / "test.db"), SqliteLog(tmp_path / "test.db")
    await log.ensure([Topic("t", partitions=1)])
    older, another = log.appender("capture"), log.appender("another")
    older.append(numbered("t", 1))
    assert older.flush(10.0) == 1
    newer = other.appender("capture")
    older.append(numbered("t", 2))
    with pytest.raises(Unavailable, match="capture"):
        older.flush(10.0)
    newer.append(numbered("t", 3))
    another.append(numbered("t", 4))
    assert newer.flush(10.0) == another.flush(10.0) == 1
    assert sorted(numbers(await everything(log, "t", 3))) == [1, 3, 4]
    await other.close()
    await log.close()


async def test_a_file_of_the_first_format_is_taken_over(tmp_path: Path) -> None:
    """What was added since is made, and what is on the log stays."""
    log = SqliteLog(tmp_path / "test.db")
    await log.ensure([Topic("t", partitions=1)])
    await log.append([numbered("t", 1)])
    await log.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "test.db")) as before:
        before.executescript("drop table fences; pragma user_version = 1")
    log = SqliteLog(tmp_path / "test.db")
    assert log.appender("capture").append(numbered("t", 2)) == 1
    assert numbers(await everything(log, "t", 2)) == [1, 2]
    await log.close()


async def test_a_consumer_gets_over_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """Its commits fail meanwhile, and it keeps its partitions: nobody else can have taken them."""
    log = SqliteLog(tmp_path / "test.db")
    await log.ensure([Topic("t", partitions=1)])
    lost: list[Partition] = []
    consumer = log.consumer("g", ["t"], lost.extend)
    await log.append([Message("t", b"k", b"1")])
    offsets = next_offsets(await collect(consumer, 1))
    with files_no_larger_than(1), pytest.raises(Unavailable):
        await consumer.commit(offsets)
    await consumer.commit(offsets)
    assert await log.lag("g", ["t"]) == {("t", 0): 0}
    assert not lost
    await consumer.close()
    await log.close()


async def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file of something else is left alone, and a folder is no file."""
    (tmp_path / "notes.txt").write_text("no database, and long enough to be taken for the head of one" * 20)
    with pytest.raises(SettingsError, match=r"notes\.txt"):
        SqliteLog(tmp_path / "notes.txt")
    with pytest.raises(Unavailable):
        SqliteLog(tmp_path)


async def test_what_is_on_the_log_is_for_its_owner(tmp_path: Path) -> None:
    """Customers' data lies in the file and in those beside it: nobody else on the machine may read them."""
    folder = tmp_path / "new"
    log = SqliteLog(folder / "test.db")
    await log.ensure([Topic("t")])
    modes = await asyncio.to_thread(lambda: [each.stat().st_mode & 0o777 for each in (folder, *folder.iterdir())])
    assert modes == [0o700] + [0o600] * 3
    await log.close()


async def test_many_may_open_a_new_log_at_once(tmp_path: Path) -> None:
    """Its tables are made once."""

    def opened(_: int) -> SqliteLog:
        return SqliteLog(tmp_path / "new" / "test.db")

    with ThreadPoolExecutor(8) as threads:
        logs = list(threads.map(opened, range(8)))
    await asyncio.gather(*(log.ensure([Topic("t", partitions=2)]) for log in logs))
    await asyncio.gather(*(log.append([Message("t", b"k", b"")]) for log in logs))
    assert len(await everything(logs[0], "t", 8)) == 8
    for log in logs:
        await log.close()


async def test_whoever_has_the_file_for_itself_is_waited_for(tmp_path: Path) -> None:
    """As whoever opens it after a kill, or closes it as its last user, has it for a moment."""
    log = SqliteLog(tmp_path / "test.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as alone:
        alone.execute("pragma locking_mode = exclusive")
        alone.execute("begin exclusive")
        ensured = asyncio.create_task(log.ensure([Topic("t")]))
        done, _ = await asyncio.wait([ensured], timeout=0.3)
        assert not done
    await ensured
    await log.close()


async def test_a_log_is_opened_while_another_process_writes(tmp_path: Path) -> None:
    """However long that takes."""
    first = SqliteLog(tmp_path / "test.db")
    await first.ensure([Topic("t", partitions=1)])
    with contextlib.closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as writing:
        writing.execute("begin immediate")
        second = SqliteLog(tmp_path / "test.db")
        assert await second.tails(["t"]) == {}
    await second.close()
    await first.close()


async def test_a_deleted_key_leaves_nothing_behind_after_a_time(tmp_path: Path) -> None:
    """Its tombstone goes, too; but the newest message of a partition stays, so that its end is known."""
    log = SqliteLog(tmp_path / "test.db", Cleaning(0.05, 1, keep_tombstones_seconds=0))
    await log.ensure([Topic("t", compacted=True, partitions=1)])
    await log.append([Message("t", b"a", b"1"), Message("t", b"a", None), Message("t", b"b", b"2")])
    async for _ in moments():
        if [d.offset for d in await upto(log, (await log.tails(["t"]))["t", 0])] == [2]:
            break
    await log.append([Message("t", b"b", None)])
    async for _ in moments():
        left = await upto(log, (await log.tails(["t"]))["t", 0])
        if len(left) == 1:
            break
    assert [(d.offset, d.value) for d in left] == [(3, None)]
    await log.close()


async def test_a_topic_that_is_not_there_is_a_matter_of_setup(tmp_path: Path) -> None:
    """Appending to it says what makes it."""
    log = SqliteLog(tmp_path / "test.db")
    with pytest.raises(SettingsError, match="setup"):
        await log.append([Message("missing", b"k", b"")])
    with pytest.raises(SettingsError, match="setup"):
        log.appender().append(Message("missing", b"k", b""))
    await log.close()
    with pytest.raises(Unavailable, match="closed"):
        await log.ensure([Topic("t")])


async def test_what_was_deleted_goes_in_time_from_a_quiet_compacted_topic(tmp_path: Path) -> None:
    """Two messages are not worth compacting, but the retention that ``ensure`` said last does not wait for more."""
    rarely = Cleaning(interval_seconds=0.1, compact_after=1_000_000, keep_tombstones_seconds=0.0)
    log = SqliteLog(tmp_path / "test.db", rarely)
    await log.ensure([Topic("t", compacted=True, retention_seconds=None, partitions=1)])
    appender = log.appender()
    for key, value in ((b"1", b"a name"), (b"1", None), (b"2", b"another")):
        appender.append(Message("t", key, value))
    await log.ensure([Topic("t", compacted=True, retention_seconds=0.1, partitions=1)])
    with contextlib.closing(sqlite3.connect(tmp_path / "test.db")) as look:
        async with asyncio.timeout(60):
            # Another thread takes them out, and tells nobody
            while len(left := look.execute("select value from messages").fetchall()) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert left == [(b"another",)]
    await log.close()
