"""The catalogue and capture speak of the same records in the same words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bothways.connectors.postgres.capture import PostgresCapture
from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.setup import setup
from bothways.eventlog.codec import CAUSE, ORIGIN
from bothways.eventlog.sqlite import SqliteLog
from bothways.model.values import Value
from bothways.ports import Delivered, Topic
from bothways.sync.mapping import TableMap
from tests.integration.postgres_catalogue.conftest import LIMITS, run

KEYS: dict[str, Value] = {
    "int": -7,
    "text": 'say "hä" \u2028 \\ /100%\n',
    "uuid": "0EB5D0A0-0000-4000-8000-00000000000A",
    "numeric(12,2)": "7",
    "timestamptz": "2026-11-22T12:00:00.5+02:00",
    "timestamp": "2026-11-22T12:00:00",
    "date": "2026-11-22",
    "boolean": True,
    "bytea": "AP8=",
    "char(4)": "ab",
    "float8": 1.0,
}


@pytest.mark.parametrize("key_type", KEYS)
async def test_keys_and_values_are_the_same(database: str, slot: str, tmp_path: Path, key_type: str) -> None:
    """A message's key is the record's key, letter by letter; its row is the row; its origin is the mark."""
    run(database, f'CREATE TABLE things (note text, id {key_type}, "second Key" int, PRIMARY KEY ("second Key", id))')
    tables = [TableMap("thing", "things", "things", frozenset({"note"}))]
    await setup(database, tables, slot=slot, publication=slot)
    catalogue = PostgresCatalogue(database, tables, limits=LIMITS)
    async with catalogue.transaction() as tx:
        row = await tx.rows.insert("thing", {"id": KEYS[key_type], "second Key": 1, "note": "x"})
        await tx.mark("stripe", "evt_1")
    await catalogue.close()

    message = await captured(database, slot, tables, SqliteLog(tmp_path / "log.db"))
    assert message.key is not None
    assert message.key.decode() == row.key
    assert message.value is not None
    assert json.loads(message.value)["after"] == row.values
    assert (message.header(ORIGIN), message.header(CAUSE)) == (b"stripe", b"evt_1")


async def captured(database: str, slot: str, tables: list[TableMap], log: SqliteLog) -> Delivered:
    """The first message of the table's topic, once capture has appended it."""
    await log.ensure([Topic("things", partitions=1)])
    capture = PostgresCapture(database, tables, log, slot=slot, publication=slot, name="shop")
    role = asyncio.create_task(capture.run())
    consumer = log.consumer("test", ["things"], lambda _: None)
    try:
        async with asyncio.timeout(20):
            while not (found := await consumer.poll(10, 1.0)):
                assert not role.done(), role.result()
    finally:
        role.cancel()
        await asyncio.wait({role})
        await consumer.close()
        await log.close()
    return found[0]
