"""Rows as only PostgreSQL has them: values left out, replica identities, truncation, keys of several columns."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bothways.eventlog.sqlite import SqliteLog
from bothways.model.change import Operation
from bothways.ports import Delivered
from bothways.sync.mapping import TableMap
from tests.integration.postgres_capture.support import PostgresSource
from tests.suites.capture import END, changes, items, key, messages_until, open_topic, running

LARGE = "(select string_agg(md5(i::text), '') from generate_series(1, 2000) i)"
"""64,000 characters that do not compress: stored out of line, and left out of the WAL unless they change."""
UNAVAILABLE = "__debezium_unavailable_value"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[tuple[SqliteLog, str]]:
    """A log and a topic."""
    log, topic = await open_topic("sqlite", tmp_path)
    assert isinstance(log, SqliteLog)
    yield log, topic
    await log.close()


async def captured(source: PostgresSource, log: tuple[SqliteLog, str], *statements: str) -> list[Delivered]:
    """What comes of these statements, each a transaction, up to the last row."""
    async with running(source.capture([items(source, log[1])], log[0])):
        for statement in [*statements, f"insert into items values ({END}, 'end', 0)"]:
            await source.run(statement)
        return await messages_until(*log, key(END))


def envelopes(messages: list[Delivered]) -> list[dict[str, Any]]:
    """Without the tombstones and the last row."""
    return [json.loads(message.value) for message in messages if message.value and message.key != key(END).encode()]


async def test_a_large_value_that_did_not_change(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """It is said to be unavailable, also when the key changes; the rest of the row is there."""
    messages = await captured(
        source,
        log,
        f"insert into items values (1, {LARGE}, 1)",
        "update items set amount = 2 where id = 1",
        "update items set id = 5 where id = 1",
    )
    first, second, gone, here = (each["after"] for each in sorted(envelopes(messages), key=_order))
    assert len(first["name"]) == 64_000
    assert second == {"id": 1, "name": UNAVAILABLE, "amount": 2}
    assert gone is None
    assert here == {"id": 5, "name": UNAVAILABLE, "amount": 2}


async def test_the_full_replica_identity(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """The old row is shown whole, and lends large values to the new one."""
    await source.run("alter table items replica identity full")
    messages = await captured(
        source,
        log,
        f"insert into items values (1, {LARGE}, 1)",
        "update items set amount = 2 where id = 1",
        "update items set id = 5 where id = 1",
        "delete from items where id = 5",
    )
    inserted, updated, moved, created, deleted = sorted(envelopes(messages), key=_order)
    old = {"id": 1, "name": inserted["after"]["name"], "amount": 1}
    assert (updated["op"], updated["before"], updated["after"]) == ("u", old, old | {"amount": 2})
    assert (moved["op"], moved["before"]) == ("d", old | {"amount": 2})
    assert (created["op"], created["before"], created["after"]) == ("c", None, old | {"id": 5, "amount": 2})
    assert (deleted["op"], deleted["before"]) == ("d", old | {"id": 5, "amount": 2})


def _order(envelope: dict[str, Any]) -> tuple[int, int]:
    return envelope["source"]["txId"], envelope["transaction"]["total_order"]


async def test_truncate(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """Published as such, without a key; deletions of rows that are gone are not made up."""
    messages = await captured(source, log, "insert into items values (1, 'a', 1)", "truncate items")
    told = [(change.key, change.operation) for change in changes(messages)]
    assert told == [(key(1), Operation.CREATE), (None, Operation.TRUNCATE), (key(END), Operation.CREATE)]


async def test_a_key_of_several_columns(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """In the key's order, not the table's; its table is in a schema and has a name that needs quotes."""
    await source.run(
        'create schema "Shop"',
        'create table "Shop"."Order lines" (line int, "order" text, note text, primary key ("order", line))',
    )
    await source.sql('alter publication items_publication add table "Shop"."Order lines"')
    topic = log[1]
    tables = [items(source, topic), TableMap("line", "Shop.Order lines", topic, frozenset({"note"}))]
    async with running(source.capture(tables, log[0])):
        await source.run("""insert into "Shop"."Order lines" values (7, 'é', 'x')""")
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(*log, key(END))
    assert messages[0].key == '{"order":"é","line":7}'.encode()
    (envelope,) = envelopes(messages)
    assert (envelope["source"]["schema"], envelope["source"]["table"]) == ("Shop", "Order lines")


async def test_generated_columns_may_be_mapped(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """The server does not send them; the row that is read at delivery has them."""
    await source.run("alter table items add double int generated always as (amount * 2) stored")
    table = TableMap("item", "items", log[1], frozenset({"name", "double"}))
    async with running(source.capture([table], log[0])):
        await source.run(f"insert into items values ({END}, 'end', 4)")
        messages = await messages_until(*log, key(END))
    assert len(messages) == 1


@pytest.mark.parametrize("rows", [900, 3000])
async def test_a_marker_at_the_end(source: PostgresSource, log: tuple[SqliteLog, str], rows: int) -> None:
    """It counts for all changes of a transaction of up to a thousand; of a larger one it may come too late."""
    async with running(source.capture([items(source, log[1])], log[0])):
        await source.run(
            f"insert into items select i, 'a', i from generate_series(1, {rows}) i", origin=("stripe", "evt_1")
        )
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(*log, key(END))
    origins = [change.origin for change in changes(messages)][:-1]
    assert len(origins) == rows
    assert set(origins) <= {"stripe", None}
    assert (set(origins) == {"stripe"}) is (rows == 900)


async def test_other_tables_of_the_publication_are_left_out(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """A publication may serve others, too."""
    await source.run("create table other (id int primary key)")
    await source.sql("alter publication items_publication add table other")
    messages = await captured(source, log, "insert into other values (1)", "delete from other", "truncate other")
    assert [message.key for message in messages] == [key(END).encode()]


async def test_a_row_larger_than_a_message(source: PostgresSource, log: tuple[SqliteLog, str]) -> None:
    """Its largest value is left out, also where it is replaced or deleted; the rows after it come as ever."""
    huge = LARGE.replace("2000", "50000")
    messages = await captured(
        source,
        log,
        "alter table items replica identity full",
        f"insert into items values (1, {huge}, 1)",
        f"update items set name = {huge}, amount = 2 where id = 1",
        "delete from items where id = 1",
    )
    made, replaced, deleted = sorted(envelopes(messages), key=_order)
    assert made["after"] == {"id": 1, "name": UNAVAILABLE, "amount": 1}
    assert replaced["before"] == {"id": 1, "name": UNAVAILABLE, "amount": 1}
    assert replaced["after"] == {"id": 1, "name": UNAVAILABLE, "amount": 2}
    assert (deleted["op"], deleted["before"]) == ("d", {"id": 1, "name": UNAVAILABLE, "amount": 2})
