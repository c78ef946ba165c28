"""Rows of PostgreSQL's own kinds: types, keys, names, triggers, tables that change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg
import pytest

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.setup import setup
from bothways.model.errors import Busy, MappingBroken, RowRefused, UnknownEntity
from bothways.model.record import RecordId
from bothways.model.values import Value
from bothways.sync.mapping import TableMap
from tests.integration.postgres_catalogue.conftest import LIMITS, run

Opening = Callable[..., AbstractAsyncContextManager[PostgresCatalogue]]


@pytest.fixture
def opened(database: str, slot: str) -> Opening:
    """A function that makes tables and opens a catalogue on one of them, as the entity ``thing``."""

    @asynccontextmanager
    async def opening(
        sql: str, table: str, *columns: str, where: str | None = None
    ) -> AsyncIterator[PostgresCatalogue]:
        run(database, sql)
        tables = [TableMap("thing", table, "things", frozenset(columns), where=where)]
        await setup(database, tables, slot=slot, publication=slot)
        catalogue = PostgresCatalogue(database, tables, limits=LIMITS)
        await catalogue.open()
        try:
            yield catalogue
        finally:
            await catalogue.close()

    return opening


async def test_only_mapped_columns_are_read_and_written(catalogue: PostgresCatalogue) -> None:
    """What is not mapped stays private, and writing it is a fault of the mapping."""
    async with catalogue.transaction() as tx:
        row = await tx.rows.insert("customer", {"name": "Ada"})
        assert set(row.values) == {"id", "name", "email", "tier", "age", "guest"}
        with pytest.raises(MappingBroken):
            await tx.rows.update(RecordId("customer", row.key), {"secret": "x"})


@pytest.mark.parametrize(
    ("key_type", "value", "key"),
    [
        ("text", 'say "hä" 100%', '{"id":"say \\"hä\\" 100%"}'),
        ("uuid", "0EB5D0A0-0000-4000-8000-00000000000A", '{"id":"0eb5d0a0-0000-4000-8000-00000000000a"}'),
        ("numeric(12,2)", "7", '{"id":"7.00"}'),
        ("timestamptz", "2026-11-22T12:00:00+02:00", '{"id":"2026-11-22T10:00:00Z"}'),
        ("boolean", True, '{"id":true}'),
        ("bytea", "AP8=", '{"id":"AP8="}'),
        ("char(4)", "ab", '{"id":"ab  "}'),
    ],
)
async def test_keys_of_any_type(opened: Opening, key_type: str, value: Value, key: str) -> None:
    """The key is the canonical value as JSON, and finds the row again."""
    sql = f"CREATE TABLE things (id {key_type} PRIMARY KEY, a text)"
    async with opened(sql, "things", "a") as catalogue, catalogue.transaction() as tx:
        row = await tx.rows.insert("thing", {"id": value, "a": "x"})
        assert row.key == key
        record = RecordId("thing", row.key)
        assert await tx.rows.read(record, lock=True) == row
        assert (await tx.rows.update(record, {"a": "y"})).values["a"] == "y"
        assert await tx.search.page("thing", key, 10) == []
        await tx.rows.delete(record)
        assert await tx.rows.read(record) is None


async def test_compound_keys_in_the_order_of_the_key(opened: Opening) -> None:
    """Not in the order of the columns; pages go by the same order."""
    sql = "CREATE TABLE things (a int, note text, b text, PRIMARY KEY (b, a))"
    async with opened(sql, "things", "note") as catalogue, catalogue.transaction() as tx:
        for b, a in [("x", 10), ("w", 5), ("x", 9)]:
            await tx.rows.insert("thing", {"a": a, "b": b, "note": f"{b}{a}"})
        first = await tx.search.page("thing", None, 2)
        assert [row.key for row in first] == ['{"b":"w","a":5}', '{"b":"x","a":9}']
        rest = await tx.search.page("thing", first[-1].key, 2)
        assert [row.key for row in rest] == ['{"b":"x","a":10}']
        assert await tx.rows.read(RecordId("thing", '{"a":10,"b":"x"}')) == rest[0]


async def test_names_that_need_quotes_and_other_schemas(opened: Opening) -> None:
    """As the database spells them, per cent signs and quotation marks included."""
    sql = """
    CREATE SCHEMA "My Shop";
    CREATE TABLE "My Shop"."Order" ("ID" int PRIMARY KEY, "100%" text, "a""b" text, "user" text);
    """
    names = ("100%", 'a"b', "user")
    where = "\"100%\" LIKE '%!%'"
    async with opened(sql, "My Shop.Order", *names, where=where) as catalogue, catalogue.transaction() as tx:
        row = await tx.rows.insert("thing", {"ID": 1, "100%": "yes!", 'a"b': "b", "user": "me"})
        assert row.takes_part
        assert await tx.search.find("thing", {"user": "me", "100%": "yes!"}) == [row]
        assert not (await tx.rows.update(RecordId("thing", row.key), {"100%": "no"})).takes_part


TRIGGERS = """
CREATE TABLE things (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text, lower_name text GENERATED ALWAYS AS (lower(name)) STORED, stamp text, counted int
);
CREATE FUNCTION before_thing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.name = 'refused' THEN RAISE EXCEPTION 'no such names' USING HINT = 'take another one'; END IF;
    IF NEW.name = 'ignored' THEN RETURN NULL; END IF;
    NEW.stamp := 'stamped ' || NEW.name; RETURN NEW; END $$;
CREATE TRIGGER b BEFORE INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION before_thing();
"""
AFTER = """
CREATE FUNCTION after_thing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE things SET counted = coalesce(counted, 0) + 1 WHERE id = NEW.id AND pg_trigger_depth() = 1;
    RETURN NULL; END $$;
CREATE TRIGGER a AFTER INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION after_thing();
"""
COLUMNS = ("name", "lower_name", "stamp", "counted")


@pytest.mark.parametrize("after", [False, True])
async def test_what_the_database_makes_of_a_write_is_read_back(opened: Opening, after: bool) -> None:
    """Generated columns, triggers before and after; what only the database writes is left to it."""
    sql = TRIGGERS + (AFTER if after else "")
    made = {"id": 1, "name": "Ada", "lower_name": "ada", "stamp": "stamped Ada", "counted": 1 if after else None}
    async with opened(sql, "things", *COLUMNS) as catalogue, catalogue.transaction() as tx:
        row = await tx.rows.insert("thing", {"id": 99, "name": "Ada", "lower_name": "x"})
        assert row.values == made
        row = await tx.rows.update(RecordId("thing", row.key), {"name": "Grace", "lower_name": "x"})
        assert row.values["lower_name"] == "grace"
        assert row.values["counted"] == (2 if after else None)
        assert await tx.rows.update(RecordId("thing", row.key), {"lower_name": "x"}) == row


async def test_what_triggers_refuse(opened: Opening) -> None:
    """An exception is a refusal with the application's words; a row that is kept out silently is one too."""
    async with opened(TRIGGERS, "things", *COLUMNS) as catalogue, catalogue.transaction() as tx:
        with pytest.raises(RowRefused, match="no such names") as caught:
            await tx.rows.insert("thing", {"name": "refused"})
        assert caught.value.hint == "take another one"
        with pytest.raises(RowRefused, match="trigger"):
            await tx.rows.insert("thing", {"name": "ignored"})
        row = await tx.rows.insert("thing", {"name": "Ada"})
        with pytest.raises(RowRefused, match="trigger"):
            await tx.rows.update(RecordId("thing", row.key), {"name": "ignored"})
        assert await tx.rows.read(RecordId("thing", row.key)) == row


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("short", "123456"),
        ("code", "12345"),
        ("amount", "123456.00"),
        ("mail", "no mail"),
        ("tags", "not a list"),
        ("tags", [1, "x"]),
        ("day", "2026-02-30"),
        ("data", "***"),
        ("text", "a\0b"),
        ("text", "\ud800"),
    ],
)
async def test_the_column_that_is_to_blame_is_named(opened: Opening, column: str, value: Value) -> None:
    """Whatever its type refuses; nothing is cut off to make it fit."""
    sql = """
    CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%');
    CREATE TABLE things (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, short varchar(5), code char(4),
        amount numeric(6,2), mail mail, tags int[], day date, data bytea, text text)
    """
    columns = ("short", "code", "amount", "mail", "tags", "day", "data", "text")
    async with opened(sql, "things", *columns) as catalogue:
        good: dict[str, Value] = {"short": "12345", "amount": "12.5", "mail": "a@b", "tags": [1, None]}
        async with catalogue.transaction() as tx:
            with pytest.raises(RowRefused) as caught:
                await tx.rows.insert("thing", {**good, column: value})
            assert caught.value.field == column
            row = await tx.rows.insert("thing", good)
        assert {name: row.values[name] for name in good} == {**good, "amount": "12.50"}


async def test_a_constraint_of_several_columns_blames_none(opened: Opening) -> None:
    """Which of them is wrong is not known; the constraint is named in the hint."""
    sql = "CREATE TABLE things (id int PRIMARY KEY, a int, b int, CONSTRAINT a_below_b CHECK (a < b))"
    async with opened(sql, "things", "a", "b") as catalogue, catalogue.transaction() as tx:
        with pytest.raises(RowRefused, match="a_below_b") as caught:
            await tx.rows.insert("thing", {"id": 1, "a": 2, "b": 1})
        assert caught.value.field is None
        await tx.rows.insert("thing", {"id": 1, "a": 1, "b": 2})
        with pytest.raises(RowRefused) as caught:
            await tx.rows.update(RecordId("thing", '{"id":1}'), {"a": 5})
        assert caught.value.field == "a"


async def test_deferred_constraints_refuse_at_once(opened: Opening) -> None:
    """Not at the commit, where nobody could go on without the row."""
    sql = """
    CREATE TABLE owners (id int PRIMARY KEY);
    CREATE TABLE things (id int PRIMARY KEY, owner int REFERENCES owners DEFERRABLE INITIALLY DEFERRED);
    """
    async with opened(sql, "things", "owner") as catalogue, catalogue.transaction() as tx:
        with pytest.raises(RowRefused) as caught:
            await tx.rows.insert("thing", {"id": 1, "owner": 7})
        assert caught.value.field == "owner"
        await tx.rows.insert("thing", {"id": 1})


async def test_an_unknown_entity(catalogue: PostgresCatalogue) -> None:
    """Is told from a table that is gone."""
    with pytest.raises(UnknownEntity):
        async with catalogue.transaction() as tx:
            await tx.rows.read(RecordId("planet", '{"id":1}'))


async def test_a_mapped_column_that_disappears_stops_its_entity_only(
    catalogue: PostgresCatalogue, sql: psycopg.Connection
) -> None:
    """``MappingBroken`` until it is back; the other entities go on, and nothing has to be opened again."""
    async with catalogue.transaction() as tx:
        row = await tx.rows.insert("customer", {"name": "Ada"})
        invoice = await tx.rows.insert("invoice", {"customer_id": row.values["id"]})

    async def read() -> object:
        async with catalogue.transaction() as tx:
            return await tx.rows.read(RecordId("customer", row.key))

    sql.execute("ALTER TABLE customers RENAME COLUMN tier TO level")
    for _ in range(2):
        with pytest.raises(MappingBroken, match="tier"):
            await read()
    async with catalogue.transaction() as tx:
        assert await tx.rows.read(RecordId("invoice", invoice.key)) == invoice
    sql.execute("ALTER TABLE customers RENAME COLUMN level TO tier")
    assert await read() == row
    sql.execute("ALTER TABLE customers RENAME TO people")
    for _ in range(2):
        with pytest.raises(MappingBroken, match="customers"):
            await read()
    sql.execute("ALTER TABLE people RENAME TO customers")
    assert await read() == row


async def test_a_column_that_changes_its_type_while_we_run(
    catalogue: PostgresCatalogue, sql: psycopg.Connection
) -> None:
    """At most the transactions under way have to be run again; then the new type counts."""
    async with catalogue.transaction() as tx:
        row = await tx.rows.insert("customer", {"name": "Ada", "age": 1})
    record = RecordId("customer", row.key)
    for _ in range(10):  # often enough for prepared statements
        async with catalogue.transaction() as tx:
            await tx.rows.read(record)
            await tx.rows.update(record, {"age": 2})
    sql.execute("ALTER TABLE customers DROP CONSTRAINT customers_age_check, ALTER COLUMN age TYPE text")
    for _ in range(20):
        try:
            async with catalogue.transaction() as tx:
                after = await tx.rows.update(record, {"age": "two"})
            break
        except (Busy, RowRefused):
            continue
    assert after.values["age"] == "two"
