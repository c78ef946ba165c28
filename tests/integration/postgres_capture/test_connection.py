"""Lost connections, crashed servers, logs that do not answer, idle databases: capture goes on exactly where it was."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from bothways.connectors.postgres.capture import PostgresCapture
from bothways.eventlog.sqlite import SqliteLog
from bothways.eventlog.sqlite.appender import SqliteAppender
from bothways.ports import Message, Topic
from tests.integration.postgres_capture.support import PostgresSource
from tests.servers import postgres
from tests.suites.capture import (
    END,
    PATIENCE_SECONDS,
    eventually,
    fold,
    items,
    key,
    messages_until,
    open_topic,
    positions,
    running,
)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[tuple[SqliteLog, str]]:
    """A log and a topic."""
    log, topic = await open_topic("sqlite", tmp_path)
    assert isinstance(log, SqliteLog)
    yield log, topic
    await log.close()


async def confirmed_beyond(source: PostgresSource, position: int) -> None:
    """Wait until the slot was acknowledged so far."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await source.confirmed() < position:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.02)


async def test_a_connection_that_is_cut_again_and_again(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """In the middle of transactions, too: every row once."""
    capture = source.capture([items(source, log[1])], log[0])
    async with running(capture):
        for number in range(5):
            first, last = number * 4000, number * 4000 + 3999
            await source.run(f"insert into items select i, 'a', i from generate_series({first}, {last}) i")
            await source.end_stream()
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(*log, key(END))
    assert len(messages) == len(set(positions(messages))) == 20_001
    assert fold(messages) == await source.rows()
    assert capture.metrics.reconnects >= 1


async def test_a_server_that_crashes(tmp_path: Path, log: tuple[SqliteLog, str]) -> None:
    """Its processes are killed, it recovers, and capture with it."""
    with postgres.running(tmp_path) as server, postgres.database_on(server) as url:
        source = PostgresSource(url)
        await source.open("create table items (id integer primary key, name text, amount integer)")
        capture = source.capture([items(source, log[1])], log[0])
        async with running(capture):
            await source.run("insert into items select i, 'a', i from generate_series(1, 5000) i")
            ((pid,),) = await source.sql(
                "select active_pid from pg_replication_slots where slot_name = %s", source.slot
            )
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: "does not answer" in (capture.ready() or ""))
            await eventually(lambda: capture.ready() is None)
            await source.close()
            again = PostgresSource(url)
            await again.connect()
            await again.run(f"insert into items values ({END}, 'end', 0)")
            messages = await messages_until(*log, key(END))
        assert len(messages) == len(set(positions(messages))) == 5001
        assert fold(messages) == await again.rows()
        await again.close()


async def test_nobody_there_at_first(log: tuple[SqliteLog, str]) -> None:
    """Capture says so and tries again, without an end, and stops when told to."""
    capture = PostgresCapture("postgresql://postgres@127.0.0.1:1/x", [], log[0], slot="s", publication="p", name="n")
    async with running(capture, until_ready=False):
        await eventually(lambda: "does not answer" in (capture.ready() or ""))
        await eventually(lambda: capture.metrics.reconnects > 1)
    assert capture.ready() == "not running"


class StalledLog(SqliteLog):
    """The log, but that it takes nothing as long as ``open`` is not set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.open = threading.Event()

    def appender(self, fence: str | None = None) -> SqliteAppender:
        return _stalling(super().appender(fence), self.open)


def _stalling(appender: SqliteAppender, open_again: threading.Event) -> SqliteAppender:
    append = appender.append

    def waits(message: Message) -> int:
        open_again.wait()
        return append(message)

    appender.append = waits  # type: ignore[method-assign]  # a full buffer, at will
    return appender


async def test_a_log_that_takes_nothing_for_longer_than_the_server_waits(
    source: PostgresSource, tmp_path: Path
) -> None:
    """The server is told that capture lives, nothing is acknowledged; then everything is there."""
    database = source.url.rpartition("/")[2]
    await source.sql(f"alter database {database} set wal_sender_timeout = '900ms'")
    log, topic = StalledLog(tmp_path / "stalled.db"), "items"
    await log.ensure([Topic(topic)])
    capture = source.capture([items(source, topic)], log)
    async with running(capture):
        before = await source.wal_end()
        await source.run("insert into items select i, 'a', i from generate_series(1, 20000) i")
        reader = "select active_pid from pg_replication_slots where slot_name = %s"
        ((pid,),) = await source.sql(reader, source.slot)
        await asyncio.sleep(3)  # three times as long as the server waits
        assert await source.sql(reader, source.slot) == [(pid,)]
        assert await source.confirmed() <= before
        log.open.set()
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(log, topic, key(END))
    assert len(messages) == 20_001
    assert capture.metrics.reconnects == 0
    await log.close()


async def test_an_idle_database_keeps_no_wal(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """What other tables write is acknowledged, too, with positions that the server named."""
    await source.run("create table other (id int)")
    capture = source.capture([items(source, log[1])], log[0])
    async with running(capture):
        await source.run("insert into other select i from generate_series(1, 1000) i")
        written = await source.wal_end()
        await source.sql("select pg_switch_wal()")
        await confirmed_beyond(source, written)
        await eventually(lambda: capture.metrics.lag_bytes == 0)
    assert capture.metrics.rows == 0


async def test_only_other_databases_write(
    source: PostgresSource, log: tuple[SqliteLog, str], postgres_server: str
) -> None:
    """Nothing of theirs is shown to the slot, and it moves on with the server's WAL all the same."""
    capture = source.capture([items(source, log[1])], log[0])
    with postgres.database_on(postgres_server) as url:
        async with running(capture):
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("create table other as select i from generate_series(1, 1000) i")
            written = await source.wal_end()
            await confirmed_beyond(source, written)
    assert capture.metrics.rows == 0


async def test_what_the_log_has_is_acknowledged(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """While it runs, and at a clean stop at the latest: the next start has nothing to leave out."""
    async with running(source.capture([items(source, log[1])], log[0])):
        await source.run("insert into items values (1, 'a', 1)")
        await confirmed_beyond(source, await source.wal_end())
        await source.run("insert into items values (2, 'a', 1)")
        await messages_until(*log, key(2))
    again = source.capture([items(source, log[1])], log[0])
    async with running(again):
        await source.run(f"insert into items values ({END}, 'end', 0)")
        await messages_until(*log, key(END))
    assert (again.metrics.messages, again.metrics.skipped) == (1, 0)


async def test_by_way_of_libpq(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """As with TLS: the same messages, small and large, and a connection that is cut."""
    source.url += "?gssencmode=prefer"  # whoever asks for encryption gets libpq
    capture = source.capture([items(source, log[1])], log[0])
    async with running(capture):
        await source.run("insert into items select i, repeat('x', i), i from generate_series(1, 3000) i")
        await source.run("insert into items values (5000, repeat('y', 700000), 0)")
        await messages_until(*log, key(5000))
        await source.end_stream()
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(*log, key(END))
    assert len(messages) == len(set(positions(messages))) == 3002
    assert fold(messages) == await source.rows()
    assert capture.metrics.reconnects >= 1


async def test_a_second_capture_says_that_it_waits(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """Once when it finds the slot taken, however long it waits, and once when it has it."""
    first, second = (source.capture([items(source, log[1])], log[0]) for _ in range(2))
    first_running = asyncio.create_task(first.run())
    try:
        await eventually(lambda: first.ready() is None)
        with capture_logs() as lines:
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(second.run())
                await eventually(lambda: "another capture" in (second.ready() or ""))
                first_running.cancel()
                await eventually(lambda: second.ready() is None)
                waiting.cancel()
    finally:
        first_running.cancel()
        await asyncio.gather(first_running, return_exceptions=True)
    assert [each["event"] for each in lines if each["event"].startswith("capture.")] == [
        "capture.waits",
        "capture.took_over",
    ]
