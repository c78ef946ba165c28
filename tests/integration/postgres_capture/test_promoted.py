"""A standby becomes the server: capture goes on where the log stands, or says why it must not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bothways.connectors.postgres.setup import setup
from bothways.eventlog.sqlite import SqliteLog
from bothways.model.errors import SourceLost
from bothways.sync.mapping import TableMap
from tests.integration.postgres_capture.support import PostgresSource
from tests.integration.postgres_capture.triggers import TriggerSource
from tests.servers import postgres
from tests.suites.capture import (
    END,
    PATIENCE_SECONDS,
    fold,
    items,
    key,
    messages_until,
    open_topic,
    positions,
    running,
)

PROGRAMS = postgres.binaries()
IN_STEP = "SELECT synced AND NOT temporary FROM pg_replication_slots WHERE slot_name = 'shop'"


class Pair:
    """A server and its standby, which can be stopped and started; slots are kept in step when it is asked."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self._stack = contextlib.ExitStack()
        self._standby = contextlib.ExitStack()
        self.primary = self._start(self._stack, "primary")
        self.standby = ""

    def _start(self, stack: contextlib.ExitStack, name: str) -> str:
        (self.folder / name).mkdir(exist_ok=True)
        return stack.enter_context(postgres.started(self.folder / name, self.data / name, PROGRAMS))

    def copy(self) -> None:
        """Make the standby, by a base backup."""
        with psycopg.connect(f"{self.primary}/postgres", autocommit=True) as admin:
            admin.execute("SELECT pg_create_physical_replication_slot('standby')")
        command: list[str | Path] = [
            PROGRAMS / "pg_basebackup",
            "-d",
            f"{self.primary}/postgres",
            "-D",
            self.data / "standby",
        ]
        postgres.run_as_user([*command, "-R", "-S", "standby", "-X", "stream", "-c", "fast"], cwd=self.data)
        with (self.data / "standby" / "postgresql.auto.conf").open("a") as settings:
            settings.write("hot_standby_feedback = on\n")
        self.start_standby()

    def start_standby(self) -> None:
        self.standby = self._start(self._standby, "standby")

    def stop_standby(self) -> None:
        self._standby.close()

    def stop_primary(self) -> None:
        self._stack.close()

    def keep_slots_in_step(self) -> None:
        """From now on the standby takes the slots over."""
        with psycopg.connect(f"{self.standby}/postgres", autocommit=True) as standby:
            where = f"{self.primary}/postgres"
            standby.execute(sql.SQL("ALTER SYSTEM SET primary_conninfo = {}").format(where))
            standby.execute("ALTER SYSTEM SET sync_replication_slots = on")
            standby.execute("SELECT pg_reload_conf()")

    def is_so(self, url: str, query: str) -> bool:
        """Whether the query gives true."""
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchone() == (True,)

    def until(self, url: str, query: str) -> None:
        """Wait until it does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_so(url, query):
            assert time.monotonic() < deadline, query
            time.sleep(0.05)

    def promote(self) -> None:
        with psycopg.connect(f"{self.standby}/postgres", autocommit=True) as admin:
            admin.execute("SELECT pg_promote()")

    def close(self) -> None:
        self._standby.close()
        self._stack.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A server with a standby."""
    with postgres.data_folder() as data:
        postgres.run_as_user([PROGRAMS / "initdb", "-D", data / "primary", *postgres.INITDB], cwd=data)
        found = Pair(tmp_path, data)
        try:
            found.copy()
            yield found
        finally:
            found.close()


async def shop_on(server: str) -> tuple[PostgresSource, TableMap]:
    """The suite's table in a database on this server, set up as the program does it."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    source = PostgresSource(f"{server}/shop")
    source.slot = source.publication = "shop"
    await source.connect()
    await source.run("create table items (id integer primary key, name text, amount integer)")
    table = TableMap("item", "items", "items", frozenset({"name"}))
    await setup(source.url, [table], slot="shop", publication="shop")
    return source, table


async def after_failover(source: PostgresSource, pair: Pair) -> PostgresSource:
    """The same database on the standby, promoted; the server is gone."""
    await source.close()
    pair.stop_primary()
    pair.promote()
    promoted = PostgresSource(f"{pair.standby}/shop")
    promoted.slot = promoted.publication = "shop"
    await promoted.connect()
    return promoted


async def test_a_promoted_standby(pair: Pair, tmp_path: Path) -> None:
    """With the slot kept in step: nothing is missing, nothing comes twice, nobody has to do anything."""
    log, topic = await open_topic("sqlite", tmp_path)
    source, _ = await shop_on(pair.primary)
    pair.until(f"{pair.standby}/postgres", "SELECT true FROM pg_database WHERE datname = 'shop'")
    pair.keep_slots_in_step()
    async with running(source.capture([items(source, topic)], log)):
        number = 0
        while not pair.is_so(f"{pair.standby}/shop", IN_STEP):  # a slot is taken over once it has moved on
            number += 1
            await source.run(f"insert into items values ({number}, 'a', 0)")
            await source.sql("select pg_log_standby_snapshot()")
            await messages_until(log, topic, key(number))
            await asyncio.sleep(0.1)
    await source.run("insert into items values (900000, 'not captured yet', 0)")
    pair.until(f"{pair.standby}/shop", "SELECT true FROM items WHERE id = 900000")
    promoted = await after_failover(source, pair)
    await promoted.run(f"insert into items values ({END}, 'end', 0)")
    async with running(promoted.capture([items(promoted, topic)], log)):
        messages = await messages_until(log, topic, key(END))
    assert len(messages) == len(set(positions(messages))) == number + 2
    assert fold(messages) == await promoted.rows()
    assert len({position.source for position in positions(messages)}) == 2
    await promoted.close()
    await log.close()


async def test_a_standby_that_had_not_got_everything(pair: Pair, tmp_path: Path) -> None:
    """The log holds changes that the new server never had: it is refused, and what to do is said."""
    log, topic = await open_topic("sqlite", tmp_path)
    assert isinstance(log, SqliteLog)
    source, table = await shop_on(pair.primary)
    await source.run("insert into items values (1, 'on both', 0)")
    pair.until(f"{pair.standby}/postgres", "SELECT true FROM pg_database WHERE datname = 'shop'")
    pair.until(f"{pair.standby}/shop", "SELECT true FROM items")
    pair.stop_standby()
    async with running(source.capture([items(source, topic)], log)):
        await source.run("insert into items values (2, 'lost', 0)")
        await messages_until(log, topic, key(2))
    await source.close()
    pair.stop_primary()
    pair.start_standby()
    promoted = await after_failover(source, pair)
    with pytest.raises(SourceLost, match="does not exist"):  # the slot was not kept in step
        await promoted.capture([items(promoted, topic)], log).run()
    done = await setup(promoted.url, [table], slot="shop", publication="shop", missed=_noted)
    assert "changes since the slot was dropped were not seen: run `bothways backfill`" in done
    with pytest.raises(SourceLost, match="never had") as caught:
        await promoted.capture([items(promoted, topic)], log).run()
    assert "bothways backfill" in caught.value.hint
    await promoted.close()
    await log.close()


async def outbox_on(server: str) -> TriggerSource:
    """The suite's table in a database on this server, with triggers."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    source = TriggerSource(f"{server}/shop")
    await source.open("create table items (id integer primary key, name text, amount integer)")
    return source


async def promoted_outbox(source: TriggerSource, pair: Pair) -> TriggerSource:
    """The same database on the standby, promoted; the server is gone."""
    await source.close()
    pair.stop_primary()
    pair.promote()
    promoted = TriggerSource(f"{pair.standby}/shop")
    await promoted.connect()
    return promoted


async def test_a_promoted_standby_with_triggers(pair: Pair, tmp_path: Path) -> None:
    """The outbox came along: nothing is missing, nothing comes twice, also of what was handed out before."""
    log, topic = await open_topic("sqlite", tmp_path)
    source = await outbox_on(pair.primary)
    async with running(source.capture([items(source, topic)], log)):
        for number in range(1, 6):
            await source.run(f"insert into items values ({number}, 'a', 0)")
            await messages_until(log, topic, key(number))
    await source.run("insert into items values (900000, 'not captured yet', 0)", "delete from items where id = 1")
    pair.until(f"{pair.standby}/postgres", "SELECT count(*) = 1 FROM pg_database WHERE datname = 'shop'")
    pair.until(f"{pair.standby}/shop", "SELECT count(*) = 1 FROM items WHERE id = 900000")
    promoted = await promoted_outbox(source, pair)
    await promoted.run(f"insert into items values ({END}, 'end', 0)")
    async with running(promoted.capture([items(promoted, topic)], log)):
        messages = await messages_until(log, topic, key(END))
    assert len(set(positions(messages))) == len(positions(messages)) == 9  # a deletion has two
    assert fold(messages) == await promoted.rows()
    assert len({position.source for position in positions(messages)}) == 2
    await promoted.close()
    await log.close()


async def test_triggers_on_a_standby_that_had_not_got_everything(pair: Pair, tmp_path: Path) -> None:
    """The log holds changes that the new server never had: it is refused, and what to do is said."""
    log, topic = await open_topic("sqlite", tmp_path)
    source = await outbox_on(pair.primary)
    await source.run("insert into items values (1, 'on both', 0)")
    pair.until(f"{pair.standby}/postgres", "SELECT count(*) = 1 FROM pg_database WHERE datname = 'shop'")
    pair.until(f"{pair.standby}/shop", "SELECT count(*) = 1 FROM pg_class WHERE relname = 'items'")
    pair.until(f"{pair.standby}/shop", "SELECT count(*) = 1 FROM items")
    pair.stop_standby()
    async with running(source.capture([items(source, topic)], log)):
        await source.run("insert into items values (2, 'lost', 0)")
        await messages_until(log, topic, key(2))
    await source.close()
    pair.stop_primary()
    pair.start_standby()
    promoted = await promoted_outbox(source, pair)
    with pytest.raises(SourceLost, match="never had") as caught:
        await promoted.capture([items(promoted, topic)], log).run()
    assert "bothways backfill" in caught.value.hint
    await promoted.close()
    await log.close()


async def _noted() -> None:
    """Somebody keeps a note of the gap."""
