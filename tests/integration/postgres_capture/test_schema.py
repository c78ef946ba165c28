"""The table changes while capture runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bothways.connectors.postgres import threaded as tested
from bothways.connectors.postgres.capture import PostgresCapture
from bothways.eventlog.sqlite import SqliteLog
from bothways.ports import Topic
from bothways.sync.mapping import TableMap
from tests.integration.postgres_capture.support import PostgresSource
from tests.suites.capture import END, eventually, items, key, messages_until, open_topic, ready, running


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


@pytest.fixture
async def pair(source: PostgresSource, log: tuple[SqliteLog, str]) -> tuple[list[TableMap], str]:
    """Two mapped tables, each on a topic of its own."""
    await source.run("create table other (id integer primary key, note text)")
    await source.sql("alter publication items_publication add table other")
    topic = f"other-{uuid.uuid4().hex[:12]}"
    await log[0].ensure([Topic(topic, partitions=1)])
    return [items(source, log[1]), TableMap("other", "other", topic, frozenset({"note"}))], topic


@dataclass
class Gaps:
    """What capture says that nobody will see."""

    found: list[list[str]] = field(default_factory=list)

    async def add(self, entities: Collection[str]) -> None:
        self.found.append(list(entities))


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "TABLES_SECONDS", 0.1)


async def says(capture: PostgresCapture, reason: str) -> None:
    """Wait until it is not ready for this reason."""
    await eventually(lambda: reason in (capture.ready() or ""))


@pytest.mark.parametrize(
    ("broken", "mended", "reason"),
    [
        ("alter table items drop name", "alter table items add name text", "no column 'name'"),
        ("alter table items rename name to title", "alter table items rename title to name", "no column 'name'"),
        ("alter table items rename to things", "alter table things rename to items", "is gone"),
        ("alter table items drop constraint items_pkey", "alter table items add primary key (id)", "no primary key"),
    ],
)
async def test_a_table_that_is_not_as_it_was(
    source: PostgresSource,
    log: tuple[SqliteLog, str],
    pair: tuple[list[TableMap], str],
    broken: str,
    mended: str,
    reason: str,
) -> None:
    """Capture says so; all others go on, and so does what it still shows: nothing is missing when it is mended."""
    capture = source.capture(pair[0], log[0])
    async with running(capture):
        await source.run("insert into items values (1, 'a', 1)")
        await source.run(broken)
        table = "things" if "things" in broken else "items"
        await says(capture, reason)
        assert list(capture.troubles) == ["item"]
        await source.run(f"insert into {table} (id) values (2)")
        await source.run("insert into other values (1, 'goes on')")
        await messages_until(log[0], pair[1], key(1))
        await source.run(mended)
        await eventually(lambda: capture.ready() is None)
        await source.run(f"insert into items (id) values ({END})")
        messages = await messages_until(*log, key(END))
    shown = {message.key: json.loads(message.value or b"") for message in messages}
    assert set(shown) == {key(number).encode() for number in (1, 2, END)}
    assert {each["source"]["table"] for each in shown.values()} == {"items"}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("drop table items", "is gone"),
        ("alter publication items_publication drop table items", "is not in the publication"),
        ("alter publication items_publication set (publish = 'insert')", "leaves out every update and delete and tr"),
        ("alter publication items_publication set table items where (id > 5), other", "shows some rows"),
        ("alter publication items_publication set table items (id, amount), other", "does not show the column 'name'"),
    ],
)
async def test_what_capture_does_not_hear_of(
    source: PostgresSource, log: tuple[SqliteLog, str], pair: tuple[list[TableMap], str], broken: str, reason: str
) -> None:
    """It is found while capture runs, or when it starts; where changes are lost, somebody is told, also at its end."""
    gaps = Gaps()
    loses = "amount" not in broken
    for starts_broken in (False, True):
        capture = source.capture(pair[0], log[0], missed=gaps.add)
        async with running(capture, until_ready=False):
            if not starts_broken:
                await ready(capture)
                await source.run(broken)
            await says(capture, reason)
            await source.run(f"insert into other values ({1 + starts_broken}, 'goes on')")
            await messages_until(log[0], pair[1], key(1 + starts_broken))
            assert ("item" in gaps.found[-1]) if loses else not gaps.found
    if "publication" in broken:
        capture = source.capture(pair[0], log[0], missed=gaps.add)
        async with running(capture, until_ready=False):
            await says(capture, reason)
            told = len(gaps.found)
            await source.sql("alter publication items_publication set table items, other")
            await source.sql("alter publication items_publication set (publish = 'insert, update, delete, truncate')")
            await eventually(lambda: capture.ready() is None)
        assert len(gaps.found) == (told + 1 if loses else 0)


async def test_another_table_takes_the_name(
    source: PostgresSource, log: tuple[SqliteLog, str], pair: tuple[list[TableMap], str]
) -> None:
    """The new one is the entity's, once it is published; the old one is nobody's any more."""
    capture = source.capture(pair[0], log[0])
    async with running(capture):
        await source.run("insert into items values (1, 'old', 1)")
        await messages_until(*log, key(1))
        await source.run("alter table items rename to items_old")
        await source.run("create table items (id integer primary key, name text)")
        await says(capture, "is not in the publication")
        await source.sql("alter publication items_publication add table items")
        await eventually(lambda: capture.ready() is None)
        await source.run("insert into items_old values (2, 'old', 1)")
        await source.run(f"insert into items values ({END}, 'new')")
        messages = await messages_until(*log, key(END))
    assert [message.key for message in messages] == [key(1).encode(), key(END).encode()]


async def test_columns_that_are_gone_when_it_is_read_later(
    source: PostgresSource, log: tuple[SqliteLog, str], pair: tuple[list[TableMap], str]
) -> None:
    """Rows from before, between and after: each as it was."""
    await source.run("insert into items select i, 'a', i from generate_series(1, 500) i")
    await source.run("alter table items drop name")
    await source.run("insert into items (id) values (1000)")
    await source.run("alter table items add name text default 'new'")
    await source.run(f"insert into items (id) values ({END})")
    async with running(source.capture(pair[0], log[0])):
        messages = await messages_until(*log, key(END))
    assert len(messages) == 502
    shown = {message.key: json.loads(message.value or b"")["after"] for message in messages}
    assert shown[key(1000).encode()] == {"id": 1000, "amount": None}
    assert shown[key(END).encode()] == {"id": END, "amount": None, "name": "new"}
