"""A change is on the log only when whoever reads its row finds it there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from bothways.connectors.postgres.visible import Snapshot
from bothways.eventlog.sqlite import SqliteLog
from bothways.ports import Delivered, Topic
from bothways.sync.mapping import TableMap
from tests.integration.postgres_capture.support import PostgresSource
from tests.servers.postgres import database_on, running

TABLES = [TableMap("item", "items", "test.item", frozenset({"name"}), None)]


async def test_a_commit_that_others_cannot_see_yet_is_not_published(tmp_path: Path) -> None:
    """While a synchronous standby keeps a commit back, its change stays off the log, though the WAL was sent."""
    with running(tmp_path) as server, database_on(server) as url:
        source = PostgresSource(url)
        await source.open(
            "create table items (id integer primary key, name text)", "insert into items values (1, 'old')"
        )
        log = SqliteLog(tmp_path / "log.db")
        await log.ensure([Topic("test.item", compacted=True, retention_seconds=None, partitions=1)])
        capture = source.capture(TABLES, log)
        role = asyncio.create_task(capture.run())
        try:
            await _until(lambda: capture.ready() is None)
            await _check(source, log)
        finally:
            role.cancel()
            await asyncio.wait([role])
            await log.close()
            await source.close()


async def _check(source: PostgresSource, log: SqliteLog) -> None:
    async with await _connect(source) as one, await _connect(source) as other:
        await source.sql("create table probes ()")
        await source.sql("alter system set synchronous_standby_names = 'nobody'")
        await source.sql("select pg_reload_conf()")
        first = asyncio.create_task(_first(log))
        commits: list[asyncio.Task[object]] = []
        try:
            commits.append(await _held_back(source, one, "insert into probes default values"))
            commits.append(asyncio.create_task(other.execute("update items set name = 'new'")))
            await _until_so(source, "select count(*) = 2 from pg_stat_activity where wait_event = 'SyncRep'")
            await _until_so(source, "select sent_lsn >= pg_current_wal_flush_lsn() from pg_stat_replication")
            await asyncio.wait([first], timeout=0.3)
            assert not first.done(), "the change is on the log, and nobody can read the row"
            assert await source.sql("select name from items") == [("old",)]
        finally:
            await source.sql("alter system reset synchronous_standby_names")
            await source.sql("select pg_reload_conf()")
            await asyncio.gather(*commits)
        await first
        assert await source.sql("select name from items") == [("new",)]


async def _connect(source: PostgresSource) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(source.url, autocommit=True)


async def _held_back(
    source: PostgresSource, connection: psycopg.AsyncConnection, statement: LiteralString
) -> asyncio.Task[object]:
    """A commit that is held back: commits go through until the server's processes have all read the setting."""
    while True:
        commit: asyncio.Task[object] = asyncio.create_task(connection.execute(statement))
        while not commit.done():
            if await source.sql("select 1 from pg_stat_activity where wait_event = 'SyncRep'"):
                return commit
            await asyncio.sleep(0.01)
        await commit


async def _until_so(source: PostgresSource, query: str) -> None:
    async with asyncio.timeout(20):
        while await source.sql(query) != [(True,)]:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def _first(log: SqliteLog) -> Delivered:
    async for message in log.follow(["test.item"], from_start=True):
        return message
    raise AssertionError("the log ended")


@pytest.mark.parametrize(
    ("xid", "shown"),
    [(90, True), (99, True), (100, False), (101, True), (105, False), (109, True), (110, False), (111, False)],
)
def test_snapshot(xid: int, shown: bool) -> None:
    """Ended is what is older than all that run, or older than the next one and not running."""
    assert Snapshot(100, 110, frozenset({100, 105})).shows(xid) is shown


@pytest.mark.parametrize(
    ("xid", "shown"), [(2**32 - 10, True), (2**32 - 1, False), (3, True), (5, False), (2**31 - 100, False)]
)
def test_snapshot_where_ids_begin_anew(xid: int, shown: bool) -> None:
    """Ids of 32 bits are compared in a ring."""
    assert Snapshot(2**32 - 5, 5, frozenset({2**32 - 1})).shows(xid) is shown


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
