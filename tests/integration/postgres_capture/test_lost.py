"""Where capture must not read on: it says what to do instead of leaving a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bothways.eventlog.codec import POSITION
from bothways.eventlog.sqlite import SqliteLog
from bothways.model.errors import SourceLost
from bothways.ports import Message, Topic
from tests.integration.postgres_capture.support import PostgresSource
from tests.integration.postgres_capture.test_connection import StalledLog
from tests.servers import postgres
from tests.suites.capture import PATIENCE_SECONDS, items, key, messages_until, open_topic, ready, running


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[tuple[SqliteLog, str]]:
    """A log and a topic."""
    log, topic = await open_topic("sqlite", tmp_path)
    assert isinstance(log, SqliteLog)
    yield log, topic
    await log.close()


async def refusal(source: PostgresSource, log: tuple[SqliteLog, str]) -> SourceLost:
    """Why capture does not start."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(SourceLost) as caught:
            await source.capture([items(source, log[1])], log[0]).run()
    return caught.value


async def test_no_slot(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """It is not made in silence: what happened since the old one was dropped would be missing."""
    await source.sql("select pg_drop_replication_slot(%s)", source.slot)
    error = await refusal(source, log)
    assert "does not exist" in error.message
    assert "bothways setup" in error.hint
    assert await source.sql("select from pg_replication_slots where slot_name = %s", source.slot) == []


async def test_a_slot_of_another_plugin(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """Somebody else's."""
    await source.sql("select pg_drop_replication_slot(%s)", source.slot)
    await source.sql("select pg_create_physical_replication_slot(%s)", source.slot)
    assert "another plugin" in (await refusal(source, log)).message


async def test_no_publication(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """The server would fail at the first change."""
    await source.sql("drop publication items_publication")
    assert "publication items_publication does not exist" in (await refusal(source, log)).message


@pytest.mark.parametrize("options", ["", "?gssencmode=prefer"])
async def test_a_publication_that_goes_while_capture_runs(
    source: PostgresSource, log: tuple[SqliteLog, str], options: str
) -> None:
    """The server says so at the next change: in a notice, and leaves the change out. By the socket and by libpq."""
    source.url += options
    capture = source.capture([items(source, log[1])], log[0])
    task = asyncio.create_task(capture.run())
    await ready(capture, task)
    await source.sql("drop publication items_publication")
    await source.run("insert into items values (1, 'a', 1)")
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(SourceLost, match="publication"):
            await task


async def test_a_slot_that_the_server_gave_up(tmp_path: Path, log: tuple[SqliteLog, str]) -> None:
    """Too much WAL was kept for it: some of it is gone."""
    with postgres.running(tmp_path) as server, postgres.database_on(server) as url:
        source = PostgresSource(url)
        await source.open("create table items (id integer primary key, name text, amount integer)")
        await source.sql("alter system set max_slot_wal_keep_size = '1MB'")
        await source.sql("alter system set min_wal_size = '32MB'")
        await source.sql("select pg_reload_conf()")
        for _ in range(6):
            await source.sql("insert into items values (1, 'a', 1) on conflict (id) do update set amount = 0")
            await source.sql("select pg_switch_wal()")
        await source.sql("checkpoint")
        error = await refusal(source, log)
        await source.close()
    assert "is lost" in error.message
    assert f"pg_drop_replication_slot('{source.slot}')" in error.hint
    assert "bothways backfill" in error.hint


async def test_a_slot_that_the_server_gives_up_while_it_is_read(tmp_path: Path) -> None:
    """The log takes nothing for too long: capture ends with what to do, once; it does not try for ever."""
    with postgres.running(tmp_path) as server, postgres.database_on(server) as url:
        source = PostgresSource(url)
        await source.open("create table items (id integer primary key, name text, amount integer)")
        log = StalledLog(tmp_path / "stalled.db")
        await log.ensure([Topic("items")])
        capture = source.capture([items(source, "items")], log)
        task = asyncio.create_task(capture.run())
        await ready(capture, task)
        await source.run("insert into items select i, 'a', i from generate_series(1, 20000) i")
        await source.sql("alter system set max_slot_wal_keep_size = '1MB'")
        await source.sql("alter system set min_wal_size = '32MB'")
        await source.sql("select pg_reload_conf()")
        status = "select wal_status = 'lost' from pg_replication_slots where slot_name = %s"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await source.sql(status, source.slot) != [(True,)]:
                await source.sql("insert into items values (-1, 'a', 1) on conflict (id) do update set amount = 0")
                await source.sql("select pg_switch_wal()")
                await source.sql("checkpoint")
        log.open.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(SourceLost, match="is lost") as caught:
                await task
        await source.close()
        await log.close()
    assert "bothways backfill" in caught.value.hint


@pytest.mark.parametrize("position", ["123-1:5:0", "{system}-9:5:0", "{system}-1:99999999999999:0"])
async def test_a_log_of_another_past(source: PostgresSource, log: tuple[SqliteLog, str], position: str) -> None:
    """Another server's, another timeline's, or this server's before it was set back."""
    ((system,),) = await source.sql("select system_identifier::text from pg_control_system()")
    text = position.format(system=system)
    await log[0].append([Message(log[1], b'{"id":1}', b"{}", ((POSITION, text.encode()),))])
    before = await source.confirmed()
    await source.run("insert into items values (1, 'a', 1)")
    error = await refusal(source, log)
    assert "restored" in error.message
    assert "bothways backfill" in error.hint
    assert await source.confirmed() == before


async def test_a_log_of_this_past_is_read_on(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """The same check lets the ordinary case through."""
    for number in range(2):
        async with running(source.capture([items(source, log[1])], log[0])):
            await source.run(f"insert into items values ({number}, 'a', 1)")
            await messages_until(*log, key(number))
