"""What only triggers have: rights, partitions, tables that are altered under them, transactions that commit late."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from bothways.connectors.postgres import outbox_setup, threaded, trigger_capture
from bothways.connectors.postgres import setup as log_setup
from bothways.connectors.postgres.outbox_status import look_at_outbox
from bothways.connectors.postgres.store import Limits, PostgresStore
from bothways.eventlog.codec import POSITION
from bothways.eventlog.sqlite import SqliteLog
from bothways.model.change import Operation
from bothways.model.errors import Busy, SettingsError, SourceLost
from bothways.ports import Message
from bothways.sync.mapping import TableMap
from tests.integration.postgres_capture.triggers import TriggerSource
from tests.servers import postgres
from tests.suites.capture import (
    END,
    PATIENCE_SECONDS,
    changes,
    eventually,
    fold,
    items,
    key,
    messages_until,
    open_topic,
    positions,
    running,
)

ITEMS = "create table items (id integer primary key, name text, amount integer)"


@pytest.fixture
async def source(database: str) -> AsyncIterator[TriggerSource]:
    """The suite's table, with triggers."""
    source = TriggerSource(database)
    await source.open(ITEMS)
    yield source
    await source.close()


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[tuple[SqliteLog, str]]:
    """A log and a topic."""
    log, topic = await open_topic("sqlite", tmp_path)
    assert isinstance(log, SqliteLog)
    yield log, topic
    await log.close()


async def emptied(source: TriggerSource) -> None:
    """Wait until nothing is left in the outbox."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await source.waiting():  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.05)


async def test_late_commits_hold_up_nobody_and_are_not_skipped(
    source: TriggerSource, log: tuple[SqliteLog, str]
) -> None:
    """A transaction that began first and commits last: others' changes come before it, its own when it commits."""
    late = await psycopg.AsyncConnection.connect(source.url)
    await late.execute("insert into items values (1, 'late', 1)")
    store = PostgresStore(source.url, Limits(connections=1))
    async with running(source.capture([items(source, log[1])], log[0])):
        for number in range(2, 5):
            await source.run(f"insert into items values ({number}, 'early', 1)")
            await messages_until(*log, key(number))
        await emptied_but(source, 0)
        status = await look_at_outbox(store)
        assert status is not None
        assert status.active
        assert status.oldest is not None
        assert status.oldest.process == late.info.backend_pid
        assert (status.oldest.seconds or 0) > 0
        await late.commit()
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(*log, key(END))
        await emptied(source)
    assert [change.key for change in changes(messages)] == [key(2), key(3), key(4), key(1), key(END)]
    await store.close()
    await late.close()


async def emptied_but(source: TriggerSource, rows: int) -> None:
    """Wait until the outbox shows so many rows: those of open transactions are not seen."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await source.waiting() > rows:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.05)


async def test_the_order_of_a_record_is_that_of_its_transactions(
    source: TriggerSource, log: tuple[SqliteLog, str]
) -> None:
    """Also where the transaction that wrote a row last has the older id, while an even older one is open."""
    await source.run("insert into items values (1, 'x', 0)")
    oldest, older = [await psycopg.AsyncConnection.connect(source.url) for _ in range(2)]
    await older.execute("insert into items values (2, 'takes the lower id', 0)")
    await oldest.execute("insert into items values (3, 'stays open', 0)")
    await source.run("update items set name = 'first' where id = 1")
    await older.execute("update items set name = 'second' where id = 1")
    await older.commit()
    async with running(source.capture([items(source, log[1])], log[0])):
        await oldest.commit()
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(*log, key(END))
    told = [(change.after or {})["name"] for change in changes(messages) if change.key == key(1)]
    assert told == ["x", "first", "second"]
    for connection in (oldest, older):
        await connection.close()


async def test_tables_that_are_altered_break_no_write(source: TriggerSource, log: tuple[SqliteLog, str]) -> None:
    """Columns added, dropped, renamed and of another type while nobody captures: each row as its table was."""
    for statement in (
        "insert into items values (1, 'a', 1)",
        "alter table items add born date default '2026-01-02'",
        "insert into items values (2, 'b', 2)",
        "alter table items alter amount type numeric(10,2)",
        "update items set amount = 3 where id = 2",
        "alter table items rename born to day",
        "alter table items drop amount",
        "insert into items values (5, 'e')",
        "alter table items rename id to number",
        "insert into items values (6, 'f')",
        "delete from items where number = 5",
        "alter table items rename number to id",
        f"insert into items values ({END}, 'end')",
    ):
        await source.run(statement)
    async with source.admin.transaction():  # in one transaction, too
        await source.admin.execute("insert into items values (7, 'g')")
        await source.admin.execute("alter table items add colour text")
        await source.admin.execute("update items set colour = 'red' where id = 7")
    await source.run("insert into items values (8, 'h')")
    async with running(source.capture([items(source, log[1])], log[0])):
        messages = await messages_until(*log, key(8))
    told = [(m.key or b"", json.loads(m.value)["after"]) for m in messages if m.value and json.loads(m.value)["after"]]
    assert sorted(told, key=lambda each: (each[0], len(each[1]), str(each[1]))) == sorted(
        [
            (b'{"id":1}', {"id": 1, "name": "a", "amount": 1}),
            (b'{"id":2}', {"id": 2, "name": "b", "amount": 2, "born": "2026-01-02"}),
            (b'{"id":2}', {"id": 2, "name": "b", "amount": "3.00", "born": "2026-01-02"}),
            (b'{"id":5}', {"id": 5, "name": "e", "day": "2026-01-02"}),
            (b'{"number":6}', {"number": 6, "name": "f", "day": "2026-01-02"}),
            (key(END).encode(), {"id": END, "name": "end", "day": "2026-01-02"}),
            (b'{"id":7}', {"id": 7, "name": "g", "day": "2026-01-02"}),
            (b'{"id":7}', {"id": 7, "name": "g", "day": "2026-01-02", "colour": "red"}),
            (b'{"id":8}', {"id": 8, "name": "h", "day": "2026-01-02", "colour": None}),
        ],
        key=lambda each: (each[0], len(each[1]), str(each[1])),
    )
    assert [m.key for m in messages if m.value is None] == [b'{"number":5}']


async def test_partitions(source: TriggerSource, log: tuple[SqliteLog, str]) -> None:
    """Rows of any partition, also of one whose columns stand in another order, tell of the table that people know."""
    await source.run(
        "create table parts (id integer, name text, region text, primary key (id, region)) partition by list (region)",
        "create table parts_eu partition of parts for values in ('eu')",
        "create table parts_us (region text not null, name text, id integer not null, primary key (id, region))",
        "alter table parts attach partition parts_us for values in ('us')",
    )
    await source.set_up("items", "parts")
    topic = log[1]
    tables = [items(source, topic), TableMap("part", "parts", topic, frozenset({"name"}))]
    async with running(source.capture(tables, log[0])):
        await source.run("insert into parts values (1, 'a', 'eu'), (2, 'b', 'us')")
        await source.run("insert into parts_us (id, name, region) values (3, 'c', 'us')")
        await source.run("update parts set region = 'us' where id = 1", "truncate parts")
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(*log, key(END))
    told = [json.loads(m.value) for m in messages if m.value and m.key != key(END).encode()]
    assert {each["source"]["table"] for each in told} == {"parts"}
    assert sorted((each["op"], (each["after"] or {}).get("id")) for each in told if each["op"] == "c") == [
        ("c", 1),
        ("c", 1),
        ("c", 2),
        ("c", 3),
    ]
    assert [each["op"] for each in told].count("t") == 1
    moved = [change for change in changes(messages) if change.operation is Operation.DELETE]
    assert [change.key for change in moved] == ['{"id":1,"region":"eu"}']


async def test_a_user_with_few_rights(source: TriggerSource, log: tuple[SqliteLog, str]) -> None:
    """No superuser, no replication, not the owner; what is missing is said; who writes the table needs nothing."""
    database = source.url.rpartition("/")[2]
    sync, app = f"sync_{database}", f"app_{database}"
    await source.sql("drop schema bothways cascade")
    for role in (sync, app):
        await source.sql(f"create role {role} login")
    try:
        await source.sql(f"grant select, insert, update, delete on items to {sync}, {app}")
        await source.sql("revoke temporary on database " + database + " from public")
        url = source.url.replace("postgres@", f"{sync}@")
        tables = [items(source, log[1])]
        with pytest.raises(SettingsError) as caught:
            await outbox_setup.setup(url, tables)
        assert f"GRANT CREATE ON DATABASE {database} TO {sync};" in caught.value.hint
        await source.sql(f"grant create on database {database} to {sync}")
        with pytest.raises(SettingsError) as caught:
            await outbox_setup.setup(url, tables)
        assert f'GRANT TRIGGER ON "public"."items" TO {sync};' in caught.value.hint
        await source.sql(f"grant trigger on items to {sync}")
        await outbox_setup.setup(url, tables)
        assert await outbox_setup.setup(url, tables) == []
        async with running(trigger_capture.PostgresTriggerCapture(url, tables, log[0], name="test")):
            async with await psycopg.AsyncConnection.connect(source.url.replace("postgres@", f"{app}@")) as person:
                await person.execute("set search_path = pg_temp; set datestyle = 'SQL, DMY'")
                await person.execute(f"insert into public.items values ({END}, 'end', 0)")
                await person.commit()
                for statement in ("select * from bothways.outbox", "select bothways.capture_1()"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        await person.execute(statement)
                    await person.rollback()
            await messages_until(*log, key(END))
            with pytest.raises(Busy, match="captured"):
                await log_setup.teardown(url, slot="none", publication="none")
        done = await log_setup.teardown(url, slot="none", publication="none")
        assert "dropped the schema bothways with the sync's state" in done
        assert await source.sql("select from pg_trigger where not tgisinternal") == []
    finally:
        for role in (sync, app):
            await source.sql(f"drop owned by {role} cascade")
            await source.sql(f"drop role {role}")


async def test_a_large_backlog_in_little_memory(source: TriggerSource, log: tuple[SqliteLog, str]) -> None:
    """Rows come as they are appended, and leave the outbox in batches."""
    await source.run("insert into items select i, 'a', i from generate_series(1, 30000) i")
    await source.run("update items set amount = 0 where id <= 1000")
    capture = source.capture([items(source, log[1])], log[0])
    async with running(capture):
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(*log, key(END))
        await emptied(source)
    assert len(messages) == len(set(positions(messages))) == 31_001
    assert fold(messages) == await source.rows()
    assert (await source.sql("select count(*) from bothways.tick"))[0][0] == 1


async def test_a_connection_that_is_cut_and_a_server_that_crashes(tmp_path: Path, log: tuple[SqliteLog, str]) -> None:
    """In the middle of handing out: every change once."""
    with postgres.running(tmp_path) as server, postgres.database_on(server) as url:
        source = TriggerSource(url)
        await source.open(ITEMS)
        capture = source.capture([items(source, log[1])], log[0])
        async with running(capture):
            for number in range(4):
                first, last = number * 4000, number * 4000 + 3999
                await source.run(f"insert into items select i, 'a', i from generate_series({first}, {last}) i")
                ((pid,),) = await source.sql(
                    "select distinct pid from pg_locks where locktype = 'advisory' and granted"
                )
                if number < 3:
                    await source.sql("select pg_terminate_backend(%s)", pid)
                    await eventually(partial(_cut, capture, number))
                    await eventually(lambda: capture.ready() is None)
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: "does not answer" in (capture.ready() or ""))
            await eventually(lambda: capture.ready() is None)
            await source.close()
            again = TriggerSource(url)
            await again.connect()
            await again.run(f"insert into items values ({END}, 'end', 0)")
            messages = await messages_until(*log, key(END))
        assert len(messages) == len(set(positions(messages))) == 16_001
        assert fold(messages) == await again.rows()
        await again.close()


def _cut(capture: trigger_capture.PostgresTriggerCapture, times: int) -> bool:
    return capture.metrics.reconnects > times


@pytest.mark.parametrize(
    ("broken", "reason"),
    [("alter table items disable trigger user", "lacks the triggers"), ("drop table items", "is gone")],
)
async def test_what_falls_silent_is_noticed(
    source: TriggerSource, log: tuple[SqliteLog, str], monkeypatch: pytest.MonkeyPatch, broken: str, reason: str
) -> None:
    """Capture says so; the other tables go on."""
    monkeypatch.setattr(threaded, "TABLES_SECONDS", 0.1)
    await source.run("create table other (id integer primary key)")
    await source.set_up("items", "other")
    tables = [items(source, log[1]), TableMap("other", "other", log[1], frozenset())]
    capture = source.capture(tables, log[0])
    async with running(capture):
        await source.run(broken)
        await eventually(lambda: reason in (capture.ready() or ""))
        await source.run("insert into other values (7)")
        await messages_until(*log, key(7))


async def test_no_outbox(source: TriggerSource, log: tuple[SqliteLog, str]) -> None:
    """It is not made in silence: what happened meanwhile would be missing."""
    await source.sql("drop table bothways.outbox, bothways.tick")
    with pytest.raises(SourceLost, match="no outbox"):
        await source.capture([items(source, log[1])], log[0]).run()


async def test_a_database_set_back_is_refused(source: TriggerSource, log: tuple[SqliteLog, str]) -> None:
    """The log holds what the outbox has not handed out yet."""
    ((system,),) = await source.sql("select system_identifier::text from pg_control_system()")
    position = f"{system}-1:99999999999999:0".encode()
    await log[0].append([Message(log[1], b'{"id":1}', b"{}", ((POSITION, position),))])
    with pytest.raises(SourceLost, match="restored"):
        await source.capture([items(source, log[1])], log[0]).run()


async def test_setup_waits_for_nobody_for_ever(source: TriggerSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that a long transaction keeps locked: setup gives up and says so; writers have waited but a moment."""
    monkeypatch.setattr(outbox_setup, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(outbox_setup, "ATTEMPTS", 2)
    monkeypatch.setattr(outbox_setup, "PAUSE_SECONDS", 0.05)
    await source.run("create table other (id integer primary key)")
    async with await psycopg.AsyncConnection.connect(source.url) as long:
        await long.execute("insert into other values (1)")
        with pytest.raises(Busy, match="locked"):
            await source.set_up("items", "other")
    assert any("other" in line for line in await source.set_up("items", "other"))
    assert any("no longer captured" in line for line in await source.set_up("items"))
