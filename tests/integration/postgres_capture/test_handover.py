"""From the WAL to triggers and back under load: nothing is lost, nothing repeated, whatever happens on the way."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bothways.connectors.postgres import outbox_setup
from bothways.connectors.postgres import setup as log_setup
from bothways.connectors.postgres.capture import PostgresCapture
from bothways.connectors.postgres.handover import Handover
from bothways.connectors.postgres.trigger_capture import PostgresTriggerCapture
from bothways.eventlog.form import Form
from bothways.eventlog.sqlite import SqliteLog
from bothways.model.errors import Busy, SettingsError, SourceLost
from bothways.ports import Role
from tests.integration.postgres_capture.support import PostgresSource
from tests.suites.capture import edit, end_everywhere, fold, items, messages_until, open_topic, positions, running


class Switching:
    """An installation whose settings say one way or the other."""

    def __init__(self, source: PostgresSource, log: SqliteLog, topic: str) -> None:
        self.source, self.log, self.topic = source, log, topic
        self.tables = [items(source, topic)]
        self.handover = Handover(
            source.url, self.tables, log, source.slot, source.publication, name="test", form=Form()
        )

    async def by_log(self) -> Role:
        """What ``setup`` does with ``capture = "log"``; the capture."""
        url, tables, source = self.source.url, self.tables, self.source
        await log_setup.setup(url, tables, slot=source.slot, publication=source.publication)
        await self.handover.to_log()
        return PostgresCapture(url, tables, self.log, slot=source.slot, publication=source.publication, name="test")

    async def by_triggers(self) -> Role:
        """The same with ``capture = "triggers"``."""
        await outbox_setup.setup(self.source.url, self.tables, slot=self.source.slot)
        await self.handover.to_triggers()
        return PostgresTriggerCapture(self.source.url, self.tables, self.log, name="test")

    async def ends(self) -> None:
        """Every change once, and in order: the topic folds to the table."""
        messages = await messages_until(self.log, self.topic, *await end_everywhere(self.source))
        found = positions(messages)
        assert len(set(found)) == len(found)
        for partition in {message.partition for message in messages}:
            own = [p.order for p, m in zip(found, messages, strict=True) if m.partition == partition]
            assert own == sorted(own)
        assert fold(messages) == await self.source.rows()
        written = await self.source.sql("select (select sum(changes) from counted)")
        told = [m for m in messages if m.value is not None]
        assert len(told) == written[0][0]


@pytest.fixture
async def switching(database: str, tmp_path: Path) -> AsyncIterator[Switching]:
    """A table that counts its changes."""
    source = PostgresSource(database)
    await source.connect()
    await source.run(
        "create table items (id integer primary key, name text, amount integer)",
        "create table counted (changes bigint)",
        """create function count_change() returns trigger language plpgsql as $$ begin
             insert into counted values (case when tg_op = 'UPDATE' and old.id <> new.id then 2 else 1 end);
             return null; end $$""",
        "create trigger counting after insert or update or delete on items for each row"
        " execute function count_change()",
    )
    log, topic = await open_topic("sqlite", tmp_path)
    assert isinstance(log, SqliteLog)
    yield Switching(source, log, topic)
    await log.close()
    await source.close()


@contextlib.asynccontextmanager
async def edits(source: PostgresSource) -> AsyncIterator[None]:
    """People who go on writing."""
    other = PostgresSource(source.url)
    await other.connect()
    writing = asyncio.create_task(edit(other, random.Random(3)))
    try:
        yield
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        await other.close()


async def test_there_and_back_under_load(switching: Switching) -> None:
    """Each way hands over to the other while rows change; also what was written while nobody captured."""
    await switching.by_log()
    ways = (switching.by_triggers, switching.by_log, switching.by_triggers)
    async with edits(switching.source):
        for way in ways:
            capture = await way()
            async with running(capture):
                await asyncio.sleep(0.4)
            await asyncio.sleep(0.2)
    async with running(capture):
        await switching.ends()
    assert (
        await switching.source.sql("select from pg_replication_slots where slot_name = %s", switching.source.slot) == []
    )


async def test_interrupted_in_the_middle(switching: Switching) -> None:
    """Neither way captures until the change was finished; then nothing is missing."""
    by_log = await switching.by_log()
    await switching.source.run("insert into items values (1, 'in the WAL', 0)")
    await outbox_setup.setup(switching.source.url, switching.tables, slot=switching.source.slot)
    await switching.source.run("insert into items values (2, 'in the outbox', 0)")
    with pytest.raises(SourceLost, match="not finished"):
        await PostgresTriggerCapture(switching.source.url, switching.tables, switching.log, name="test").run()
    with pytest.raises(SourceLost, match="by triggers"):
        await by_log.run()
    with pytest.raises(SettingsError, match="not finished"):
        await switching.by_log()
    async with running(await switching.by_triggers()):
        await switching.ends()


async def test_while_somebody_captures(switching: Switching) -> None:
    """It refuses, either way, and changes nothing."""
    async with running(await switching.by_log()):
        with pytest.raises(Busy, match="reads the slot"):
            await switching.by_triggers()
    async with running(await switching.by_triggers()):
        with pytest.raises(Busy, match="being captured"):
            await switching.by_log()
        await switching.ends()
