"""What wakes capture up: notifications while it sleeps, its own looks where there may be none."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from bothways.connectors.postgres import outbox, trigger_capture
from bothways.eventlog.sqlite import SqliteLog
from tests.integration.postgres_capture.test_outbox import log, source
from tests.integration.postgres_capture.triggers import TriggerSource
from tests.suites.capture import END, PATIENCE_SECONDS, items, key, messages_until, running

__all__ = ["log", "source"]


async def test_a_lost_notification_is_only_slower(
    source: TriggerSource, log: tuple[SqliteLog, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outbox is looked at without one, too."""
    monkeypatch.setattr(trigger_capture, "POLL_SECONDS", 0.1)
    ((oid,),) = await source.sql("select 'items'::regclass::oid::bigint")
    ((body,),) = await source.sql("select prosrc from pg_proc where proname = %s", f"capture_{oid}")
    silent = body.replace("PERFORM pg_notify('bothways', '');", "")
    assert silent != body
    await source.sql(
        f"create or replace function bothways.capture_{oid}() returns trigger language plpgsql as $f${silent}$f$"
    )
    async with running(source.capture([items(source, log[1])], log[0])):
        await source.run(f"insert into items values ({END}, 'end', 0)")
        await messages_until(*log, key(END))


async def asleep(source: TriggerSource) -> None:
    """Wait until capture says that it sleeps."""
    sleeper = "select pid from pg_locks where locktype = 'advisory' and classid::bigint << 32 | objid::bigint = %s"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await source.sql(sleeper, outbox.ASLEEP):  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.02)


async def test_only_who_sleeps_is_notified(source: TriggerSource) -> None:
    """Transactions that notify wait for each other's commit: while nobody sleeps, none does."""
    async with await psycopg.AsyncConnection.connect(source.url, autocommit=True) as listening:
        await listening.execute(f"listen {outbox.CHANNEL}")
        await source.run("insert into items values (1, 'awake', 0)")
        await listening.execute("select pg_advisory_lock(%s)", [outbox.ASLEEP])
        await source.run("insert into items values (2, 'asleep', 0), (3, 'asleep', 0)")
        assert len([found async for found in listening.notifies(timeout=0.2)]) == 1


async def test_who_looked_before_capture_slept_is_heard_of(
    source: TriggerSource, log: tuple[SqliteLog, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a transaction does not notify, as nobody slept when it wrote; that is not left to the slow look."""
    monkeypatch.setattr(trigger_capture, "POLL_SECONDS", 1000.0)
    async with await psycopg.AsyncConnection.connect(source.url) as early:
        await early.execute("insert into items values (1, 'early', 0)")
        async with running(source.capture([items(source, log[1])], log[0])):
            await asleep(source)
            await early.commit()
            await messages_until(*log, key(1))
            await asleep(source)
            await source.run(f"insert into items values ({END}, 'notifies', 0)")
            await messages_until(*log, key(END))


async def test_capture_that_cannot_sleep_looks_by_itself(
    source: TriggerSource, log: tuple[SqliteLog, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger that stands still while it looks keeps capture from saying that it sleeps, and from nothing else."""
    monkeypatch.setattr(trigger_capture, "POLL_SECONDS", 1000.0)
    async with await psycopg.AsyncConnection.connect(source.url, autocommit=True) as trigger:
        await trigger.execute("select pg_advisory_lock_shared(%s)", [outbox.ASLEEP])
        async with running(source.capture([items(source, log[1])], log[0])):
            for number in (1, 2):
                await source.run(f"insert into items values ({number}, 'nobody notifies', 0)")
                await messages_until(*log, key(number))
            await trigger.execute("select pg_advisory_unlock_all()")
            await asleep(source)
