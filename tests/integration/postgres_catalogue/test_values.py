"""The values of rows are those of the WAL, in canonical form, and can be written as they were read."""

from __future__ import annotations

import struct

import psycopg
import pytest

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.setup import setup
from bothways.connectors.postgres.tables import TableDescription, describe
from bothways.connectors.postgres.values import SESSION, reader
from bothways.model.record import RecordId
from bothways.model.values import Value
from bothways.sync.mapping import TableMap
from tests.integration.postgres_catalogue.conftest import LIMITS, run

SAMPLES: list[tuple[str, str, Value]] = [
    ("int2", "-7", -7),
    ("int8", "9223372036854775807", 9223372036854775807),
    ("numeric", "12.50", "12.50"),
    ("numeric(10,2)", "7", "7.00"),
    ("numeric", "NaN", "NaN"),
    ("float8", "0.1", 0.1),
    ("float8", "1e300", 1e300),
    ("float4", "3", 3.0),
    ("float8", "-Infinity", "-Infinity"),
    ("float8", "NaN", "NaN"),
    ("boolean", "yes", True),
    ("text", "", ""),
    ("text", "hä\n\t\"'\\ ☃", "hä\n\t\"'\\ ☃"),
    ("varchar(20)", "abc", "abc"),
    ("char(5)", "ab", "ab   "),
    ("uuid", "0EB5D0A0-0000-4000-8000-00000000000A", "0eb5d0a0-0000-4000-8000-00000000000a"),
    ("date", "22 Nov 2026", "2026-11-22"),
    ("date", "infinity", "infinity"),
    ("time", "12:34:56.5", "12:34:56.5"),
    ("timestamp", "2026-11-22 12:34:56.5", "2026-11-22T12:34:56.5"),
    ("timestamp", "infinity", "infinity"),
    ("timestamp", "0044-03-15 12:00 BC", "0044-03-15T12:00:00 BC"),
    ("timestamptz", "2026-11-22 12:34:56.123456+05:30", "2026-11-22T07:04:56.123456Z"),
    ("timestamptz", "-infinity", "-infinity"),
    ("interval", "1 year 2 days 03:04:05", "P1Y2DT3H4M5S"),
    ("bytea", "\\x00ff10", "AP8Q"),
    ("bytea", "", ""),
    ("json", '{"b": 1, "a": [1.50, null, "x"]}', {"b": 1, "a": [1.5, None, "x"]}),
    ("jsonb", "123456789012345678901234567890", 123456789012345678901234567890),
    ("jsonb", '"text"', "text"),
    ("inet", "10.0.0.1", "10.0.0.1"),
    ("point", "(1,2)", "(1,2)"),
    ("int4range", "[1,5)", "[1,5)"),
    ("mood", "so so", "so so"),
    ("mail", "a@b.c", "a@b.c"),
    ("price", "3", "3.00"),
    ("int[]", "{1,NULL,3}", [1, None, 3]),
    ("int[]", "{}", []),
    ("int[]", "[0:1]={7,8}", [7, 8]),
    ("int[][]", "{{1,2},{3,4}}", [[1, 2], [3, 4]]),
    ("text[]", '{"a,b","c\\"d","e\\\\f",NULL,"NULL","",g h}', ["a,b", 'c"d', "e\\f", None, "NULL", "", "g h"]),
    ("numeric[]", "{1.50}", ["1.50"]),
    ("boolean[]", "{t,f}", [True, False]),
    ("timestamptz[]", '{"2026-11-22 12:00:00+00"}', ["2026-11-22T12:00:00Z"]),
    ("bytea[]", '{"\\\\x00ff"}', ["AP8="]),
    ("jsonb[]", '{"{\\"a\\": 1}"}', [{"a": 1}]),
    ("mood[]", '{"so so",fine}', ["so so", "fine"]),
]
TYPES = """
CREATE TYPE mood AS ENUM ('so so', 'fine');
CREATE DOMAIN mail AS varchar(40) CHECK (VALUE LIKE '%@%');
CREATE DOMAIN price AS numeric(8, 2);
"""


def names() -> list[str]:
    """A column for each sample."""
    return [f"c{number}" for number in range(len(SAMPLES))]


@pytest.fixture
async def things(database: str, slot: str) -> TableMap:
    """A table with a column for each sample, one row in it, and the slot from before that row."""
    columns = ", ".join(f"{name} {sample[0]}" for name, sample in zip(names(), SAMPLES, strict=True))
    table = TableMap("thing", "things", "things", frozenset(names()))
    run(database, f"{TYPES}; CREATE TABLE things (id int PRIMARY KEY, {columns})")
    await setup(database, [table], slot=slot, publication=slot)
    with psycopg.connect(database) as connection:
        places = ", ".join("%s" for _ in SAMPLES)
        statement = f"INSERT INTO things VALUES (1, {places})"
        connection.execute(statement.encode(), [text for _, text, _ in SAMPLES])
    return table


async def test_rows_show_canonical_values_and_take_them_back(database: str, things: TableMap) -> None:
    """Whatever the server's own settings are; and a row written as it was read is the same row."""
    catalogue = PostgresCatalogue(database, [things], limits=LIMITS)
    async with catalogue.transaction() as tx:
        row = await tx.rows.read(RecordId("thing", '{"id":1}'))
        assert row is not None
        shown = {name: row.values[name] for name in names()}
        assert shown == {name: value for name, (_, _, value) in zip(names(), SAMPLES, strict=True)}
        assert [type(each) for each in shown.values()] == [type(value) for _, _, value in SAMPLES]
        copy = await tx.rows.insert("thing", {"id": 2, **shown})
        assert {name: copy.values[name] for name in names()} == shown
        no_equals = {"point", "[0:1]={7,8}"}  # a type without equality; bounds, which canonical lists do not have
        searchable = {
            name: shown[name] for name, sample in zip(names(), SAMPLES, strict=True) if not no_equals & set(sample[:2])
        }
        found = await tx.search.find("thing", searchable)
        assert [each.key for each in found] == ['{"id":1}', '{"id":2}']
        cleared = await tx.rows.update(RecordId("thing", '{"id":2}'), dict.fromkeys(names()))
        assert {cleared.values[name] for name in names()} == {None}
    await catalogue.close()


async def test_the_wal_says_the_same(database: str, slot: str, things: TableMap) -> None:
    """The texts of pgoutput, read with the same readers, are the values of the row."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        for name, value in SESSION.items():
            await connection.execute(f"SET {name} = '{value}'".encode())
        description = await describe(connection, things)
        assert description is not None
        cursor = await connection.execute(
            "SELECT data FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL, 'proto_version', '1',"
            " 'publication_names', %s) WHERE get_byte(data, 0) = ascii('I')",
            [slot, slot],
        )
        found = await cursor.fetchone()
    assert found is not None
    values = inserted(found[0], description)
    assert values == {"id": 1, **{name: value for name, (_, _, value) in zip(names(), SAMPLES, strict=True)}}


def inserted(message: bytes, table: TableDescription) -> dict[str, Value]:
    """The values of an Insert message: I, relation, N, count, then per column t, length, text."""
    values: dict[str, Value] = {}
    at = 8
    for column in table.columns.values():
        (length,) = struct.unpack_from(">i", message, at + 1)
        assert message[at : at + 1] == b"t"
        values[column.name] = reader(column.type)(message[at + 5 : at + 5 + length].decode())
        at += 5 + length
    return values
