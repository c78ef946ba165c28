"""The table changes while capture runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bothways.connectors.postgres import capture as tested
from bothways.eventlog.sqlite import SqliteLog
from bothways.model.errors import MappingBroken
from bothways.sync.mapping import TableMap
from tests.integration.postgres_capture.support import PostgresSource
from tests.suites.capture import END, PATIENCE_SECONDS, items, key, messages_until, open_topic, ready, running


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[tuple[SqliteLog, str]]:
    """A log and a topic."""
    log, topic = await open_topic("sqlite", tmp_path)
    assert isinstance(log, SqliteLog)
    yield log, topic
    await log.close()


@pytest.mark.parametrize("while_down", [False, True])
async def test_rows_follow_the_table(source: PostgresSource, log: tuple[SqliteLog, str], while_down: bool) -> None:
    """Columns added, dropped, renamed and of another type; also when all of it is read later."""
    steps = [
        "insert into items values (1, 'a', 1)",
        "alter table items add born date default '2026-01-02'",
        "insert into items values (2, 'b', 2)",
        "alter table items alter amount type numeric(10,2)",
        "insert into items values (3, 'c', 3)",
        "alter table items rename born to day",
        "insert into items values (4, 'd', 4)",
        "alter table items drop amount",
        "insert into items values (5, 'e')",
        "alter table items rename id to number",
        "insert into items values (6, 'f')",
        "delete from items where number = 5",
        "alter table items rename number to id",
        f"insert into items values ({END}, 'end')",
    ]
    if while_down:
        for step in steps:
            await source.run(step)
    async with running(source.capture([items(source, log[1])], log[0])):
        if not while_down:
            for step in steps:
                await source.run(step)
        messages = await messages_until(*log, key(END))
    shown = {m.key: json.loads(m.value)["after"] for m in messages if m.value and json.loads(m.value)["after"]}
    assert shown == {
        b'{"id":1}': {"id": 1, "name": "a", "amount": 1},
        b'{"id":2}': {"id": 2, "name": "b", "amount": 2, "born": "2026-01-02"},
        b'{"id":3}': {"id": 3, "name": "c", "amount": "3.00", "born": "2026-01-02"},
        b'{"id":4}': {"id": 4, "name": "d", "amount": "4.00", "day": "2026-01-02"},
        b'{"id":5}': {"id": 5, "name": "e", "day": "2026-01-02"},
        b'{"number":6}': {"number": 6, "name": "f", "day": "2026-01-02"},
        key(END).encode(): {"id": END, "name": "end", "day": "2026-01-02"},
    }
    assert [m.key for m in messages if m.value is None] == [b'{"number":5}']


async def still_to_be_sent(source: PostgresSource) -> int:
    """Inserts that the slot holds: committed, and not acknowledged."""
    await source.end_stream()
    query = (
        "select count(*) from pg_logical_slot_peek_binary_changes("
        "%s, null, null, 'proto_version', '1', 'publication_names', %s) where get_byte(data, 0) = ascii('I')"
    )
    ((number,),) = await source.sql(query, source.slot, source.publication)
    return int(number)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("alter table items drop name", "no column 'name'"),
        ("alter table items rename name to title", "no column 'name'"),
        ("alter table items rename to things", "(?s)things|is gone"),
    ],
)
async def test_a_mapping_that_breaks(
    source: PostgresSource, log: tuple[SqliteLog, str], broken: str, reason: str
) -> None:
    """Capture stops and says why; what came before is on the log, what comes after is not acknowledged."""
    capture = source.capture([items(source, log[1])], log[0])
    task = asyncio.create_task(capture.run())
    await ready(capture, task)
    await source.run("insert into items values (1, 'a', 1)")
    await messages_until(*log, key(1))
    await source.run(broken)
    table = "things" if "things" in broken else "items"
    await source.run(f"insert into {table} (id) values (2)")
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(MappingBroken, match=reason) as caught:
            await task
    assert caught.value.hint
    assert await still_to_be_sent(source) == 1
    assert [message.key for message in await messages_until(*log, key(1))] == [key(1).encode()]


async def test_a_table_that_is_not_published(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """Its changes would be missed in silence."""
    await source.run("create table other (id int primary key)")
    tables = [items(source, log[1]), TableMap("other", "other", log[1], frozenset())]
    with pytest.raises(MappingBroken, match="not in the publication") as caught:
        await source.capture(tables, log[0]).run()
    assert "bothways setup" in caught.value.hint


async def test_a_table_that_is_gone(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """At the start."""
    await source.run("drop table items")
    with pytest.raises(MappingBroken, match="is gone"):
        await source.capture([items(source, log[1])], log[0]).run()


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("drop table items", "is gone"),
        ("alter publication items_publication drop table items", "not in the publication"),
    ],
)
async def test_a_table_that_falls_silent(
    source: PostgresSource,
    log: tuple[SqliteLog, str],
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    reason: str,
) -> None:
    """The stream says nothing of it, so the tables are looked for from time to time."""
    monkeypatch.setattr(tested, "TABLES_SECONDS", 0.1)
    await source.run("create table other (id int primary key)")
    await source.sql("alter publication items_publication add table other")
    capture = source.capture([items(source, log[1])], log[0])
    task = asyncio.create_task(capture.run())
    await ready(capture, task)
    await source.run("insert into items values (1, 'a', 1)")
    await messages_until(*log, key(1))
    assert not task.done()
    await source.run(broken)
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(MappingBroken, match=reason):
            await task


async def test_what_came_before_a_broken_mapping_is_safe(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """Rows, the change and more rows are read at once: the rows before it are on the log when capture gives up."""
    await source.run("insert into items select i, 'a', i from generate_series(1, 500) i")
    good = await source.wal_end()
    await source.run("alter table items drop name")
    await source.run("insert into items (id) values (1000)")
    await source.run("alter table items add name text")  # so that capture starts
    capture = source.capture([items(source, log[1])], log[0])
    task = asyncio.create_task(capture.run())
    await messages_until(*log, key(1000))
    await source.run("alter table items drop name", "insert into items (id) values (1001)")
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(MappingBroken, match="no column 'name'"):
            await task
    assert await source.confirmed() >= good
    assert capture.metrics.messages == 501
