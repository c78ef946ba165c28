"""Every common type as the topic shows it, on a server whose own settings would print it otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bothways.eventlog.sqlite import SqliteLog
from bothways.ports import Topic
from bothways.sync.mapping import TableMap
from tests.integration.postgres_capture.support import PostgresSource
from tests.suites.capture import messages_until, running

COLUMNS = {
    "id": "bigint primary key",
    "b": "boolean",
    "small": "smallint",
    "n": "numeric(10,2)",
    "nn": "numeric",
    "f": "double precision",
    "r": "real",
    "s": "varchar(20)",
    "padded": "char(4)",
    "tx": "text",
    "by": "bytea",
    "d": "date",
    "t": "time",
    "tz": "timetz",
    "dt": "timestamp",
    "ts": "timestamptz",
    "u": "uuid",
    "j": "json",
    "jb": "jsonb",
    "a": "int[]",
    "texts": "text[]",
    "iv": "interval",
    "inet": "inet",
    "mood": "mood",
    "moods": "mood[]",
    "price": "price",
    "Odd \"name\" {x} 'y'": "text",
}

USUAL = r"""(1, true, -7, 12.50, 1e3, 1.5, 0.1, 'é', 'ab', E'line\n"two"\\', '\x00ff', '2026-11-22', '12:34:56.789012',
    '12:34:56+02', '2026-11-22 12:34:56.123456', '2026-11-22 12:34:56.123456+02',
    '6f1c1d9e-7a0b-4c55-8d3e-000000000001', '{"a": 1}', '{"a":[1,2.5,null]}', '{{1,null},{3,4}}',
    '{"a,b","NULL",null}', '1 mon 2 days 03:00:00', '10.0.0.1', 'glad', '{glad,sad}', 9.99, 'odd')"""
USUAL_SHOWN: dict[str, Any] = {
    "id": 1,
    "b": True,
    "small": -7,
    "n": "12.50",
    "nn": "1000",
    "f": 1.5,
    "r": 0.1,
    "s": "é",
    "padded": "ab  ",
    "tx": 'line\n"two"\\',
    "by": "AP8=",
    "d": "2026-11-22",
    "t": "12:34:56.789012",
    "tz": "12:34:56+02",
    "dt": "2026-11-22T12:34:56.123456",
    "ts": "2026-11-22T10:34:56.123456Z",
    "u": "6f1c1d9e-7a0b-4c55-8d3e-000000000001",
    "j": '{"a": 1}',
    "jb": '{"a": [1, 2.5, null]}',
    "a": [[1, None], [3, 4]],
    "texts": ["a,b", "NULL", None],
    "iv": "P1M2DT3H",
    "inet": "10.0.0.1",
    "mood": "glad",
    "moods": ["glad", "sad"],
    "price": "9.99",
    "Odd \"name\" {x} 'y'": "odd",
}
UNUSUAL = [
    ("nn", "'NaN'", "NaN"),
    ("nn", "'-Infinity'", "-Infinity"),
    ("f", "'NaN'", "NaN"),
    ("f", "'Infinity'", "Infinity"),
    ("f", "1", 1.0),
    ("f", "1e300", 1e300),
    ("f", "-1e-300", -1e-300),
    ("r", "16777216", 16777216.0),
    ("d", "'infinity'", "infinity"),
    ("d", "'0044-03-15 BC'", "0044-03-15 BC"),
    ("d", "'12026-01-01'", "12026-01-01"),
    ("dt", "'-infinity'", "-infinity"),
    ("dt", "'2026-01-01 00:00:00'", "2026-01-01T00:00:00"),
    ("ts", "'infinity'", "infinity"),
    ("ts", "'0044-03-15 00:00:00+00 BC'", "0044-03-15T00:00:00Z BC"),
    ("iv", "'-1 day'", "P-1D"),
    ("by", "''", ""),
    ("tx", "''", ""),
    ("tx", "'ends with n'", "ends with n"),
    ("tx", "repeat('é', 50000)", "é" * 50_000),
    ("texts", "'{}'", []),
]


@pytest.fixture
async def shapes(database: str) -> PostgresSource:
    """A table with a column of each type."""
    source = PostgresSource(database)
    source.table = "shapes"
    columns = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" {kind}' for name, kind in COLUMNS.items())
    await source.open(
        "create type mood as enum ('glad', 'sad')",
        "create domain price as numeric(10,2)",
        f"create table shapes ({columns})",
    )
    return source


async def test_every_type(shapes: PostgresSource, tmp_path: Path) -> None:
    """Usual values and the rest, alone in their row among nulls, and again through an update."""
    log = SqliteLog(tmp_path / "log.db")
    await log.ensure([Topic("shapes", partitions=1)])
    tables = [TableMap("shape", "shapes", "shapes", frozenset(COLUMNS))]
    async with running(shapes.capture(tables, log)):
        await shapes.run(f"insert into shapes values {USUAL}")
        for number, (column, text, _) in enumerate(UNUSUAL, start=2):
            await shapes.run(f"insert into shapes (id, {column}) values ({number}, {text})")
        await shapes.run("update shapes set id = id", "insert into shapes (id) values (99)")
        messages = await messages_until(log, "shapes", '{"id":99}')
    shown = [json.loads(message.value or b"")["after"] for message in messages]
    nothing = dict.fromkeys(COLUMNS)
    wanted = [USUAL_SHOWN]
    wanted += [nothing | {"id": number, column: value} for number, (column, _, value) in enumerate(UNUSUAL, start=2)]
    assert shown == [*wanted, *wanted, nothing | {"id": 99}]
    assert all(type(row["f"]) is not int for row in shown)
    assert list(shown[0]) == list(COLUMNS)
    await log.close()
    await shapes.close()
