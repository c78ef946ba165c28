"""What tables may be like, on whichever version of PostgreSQL: what is captured is what the catalogue reads.

The tests that inherit give ``database`` (fresh), ``slot`` (a name), ``values_rows`` (how many rows of random values).
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bothways.connectors.postgres.capture import PostgresCapture
from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.setup import setup
from bothways.connectors.postgres.tables import quoted
from bothways.model.values import Values
from bothways.ports import Topic
from bothways.sync.mapping import TableMap
from tests.suites.capture import fold, messages_until, open_topic, running
from tests.suites.postgres_values import MAKERS, NOT_EVERYWHERE, TYPES

END = 999_999


class Captured:
    """One mapped table, set up as the program does it, and what capture made of it."""

    def __init__(self, database: str, slot: str, table: TableMap) -> None:
        self.database, self.slot, self.table = database, slot, table

    def run(self, *statements: str) -> None:
        """Each is a transaction."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    async def setup(self) -> list[str]:
        return await setup(self.database, [self.table], slot=self.slot, publication=self.slot, missed=_noted)

    async def messages(self, folder: Path, last: str) -> Mapping[str, Any]:
        """Key → row, as a consumer has it once the row of this key is there."""
        log, _ = await open_topic("sqlite", folder)
        await log.ensure([Topic(self.table.topic, partitions=1)])
        name = self.slot
        async with running(PostgresCapture(self.database, [self.table], log, slot=name, publication=name, name="t")):
            found = fold(await messages_until(log, self.table.topic, last))
        await log.close()
        return found

    async def rows(self) -> dict[str, Values]:
        """Key → row, as the catalogue reads it."""
        catalogue = PostgresCatalogue(self.database, [self.table])
        async with catalogue.transaction() as tx:
            found = {row.key: row.values for row in await tx.search.page(self.table.entity, None, 100_000)}
        await catalogue.close()
        return found


async def _noted() -> None:
    """Somebody keeps a note of the gap."""


def shown(captured: Mapping[str, Any], rows: Mapping[str, Values], documents: Sequence[str] = ()) -> None:
    """Hold them against each other; on the topic JSON columns are text."""
    assert set(captured) == set(rows)
    for key, row in rows.items():
        after = {name: value for name, value in captured[key].items() if name in row}
        for name in documents:
            after[name] = _parsed(after[name])
        assert after == row, key


def _parsed(value: Any) -> Any:
    return [_parsed(each) for each in value] if isinstance(value, list) else value and json.loads(value)


class PostgresTableSuite:
    """Tables of all kinds."""

    async def test_values_of_every_type(self, database: str, slot: str, tmp_path: Path, values_rows: int) -> None:
        """The WAL and a query say the same, and a row that is written as it was read is the same row."""
        columns = _columns(database)
        names = [f"c{n}" for n in range(len(columns))]
        table = TableMap("value", "samples", "values", frozenset(names))
        own = Captured(database, slot, table)
        declared = ", ".join(f"{name} {kind}" for name, kind in zip(names, columns, strict=True))
        own.run(TYPES, f"create table samples (id integer primary key, {declared})")
        await own.setup()
        chance = random.Random(20_261_122)
        insert = sql.SQL("insert into samples values ({})").format(
            sql.SQL(", ").join(sql.Placeholder() * (len(columns) + 1))
        )
        with psycopg.connect(database) as connection:
            for number in range(values_rows):
                filled = [None if chance.random() < 0.1 else MAKERS[kind](chance) for kind in columns]
                connection.execute(insert, [number, *filled])
            connection.execute(f"insert into samples (id) values ({END})".encode())
        rows = await own.rows()
        documents = [name for name, kind in zip(names, columns, strict=True) if kind.startswith("json")]
        shown(await own.messages(tmp_path, f'{{"id":{END}}}'), rows, documents)
        catalogue = PostgresCatalogue(database, [table])
        async with catalogue.transaction() as tx:
            for row in rows.values():
                await tx.rows.insert("value", {**row, "id": 2_000_000 + int(str(row["id"]))})
        await catalogue.close()
        with psycopg.connect(database) as connection:
            for name, kind in zip(names, columns, strict=True):
                text = f"{name}::jsonb::text" if kind == "json" else f"{name}::text"
                query = f"""select a.id, a.{text}, b.{text} from samples a join samples b on b.id = a.id + 2000000
                            where a.{text} is distinct from b.{text} limit 1"""
                assert connection.execute(query.encode()).fetchone() is None, kind

    async def test_odd_names(self, database: str, slot: str, tmp_path: Path) -> None:
        """Schemas other than public, mixed case, spaces, quotes, per cent signs, other alphabets."""
        odd = "Ünser \"Col\" 100% 'x' {y} \\"
        table = TableMap("odd", "My Schéma.Tab\"le %s 'é'", "odd", frozenset({odd, "select"}))
        own = Captured(database, slot, table)
        name = f"{quoted('My Schéma')}.{quoted(table.table.partition('.')[2])}"
        columns = f'{quoted("Id %")} integer primary key, {quoted(odd)} text, "select" integer'
        own.run(f"create schema {quoted('My Schéma')}", f"create table {name} ({columns})")
        await own.setup()
        own.run(f"insert into {name} values (1, 'a', 1)", f"update {name} set {quoted(odd)} = 'b' where \"select\" = 1")
        own.run(f"insert into {name} values (2, 'end', 2)")
        shown(await own.messages(tmp_path, '{"Id %":2}'), await own.rows())

    async def test_a_partitioned_table(self, database: str, slot: str, tmp_path: Path) -> None:
        """Its rows are the table's, whatever partition holds them; a row may move, a partition may come later."""
        own = Captured(database, slot, TableMap("part", "parts", "parts", frozenset({"name"})))
        own.run(
            "create table parts (id integer, region text, name text, primary key (id, region))"
            " partition by list (region)",
            "create table parts_a partition of parts for values in ('a')",
            "create table parts_rest partition of parts default",
        )
        await own.setup()
        own.run(
            "insert into parts values (1, 'a', 'x'), (2, 'b', 'y')",
            "update parts set region = 'b' where id = 1",
            "create table parts_c partition of parts for values in ('c')",
            "insert into parts values (3, 'c', 'z')",
            "update parts set name = 'changed' where id = 2",
            "delete from parts where id = 3",
            "insert into parts values (4, 'a', 'end')",
        )
        shown(await own.messages(tmp_path, '{"id":4,"region":"a"}'), await own.rows())

    async def test_generated_columns(self, database: str, slot: str, tmp_path: Path) -> None:
        """Those that are stored are read with the row; the topic has them where the server can show them."""
        own = Captured(database, slot, TableMap("made", "made", "made", frozenset({"a", "twice"})))
        own.run(
            "create table made (id integer primary key, a integer, twice integer generated always as (a * 2) stored)"
        )
        await own.setup()
        own.run("insert into made values (1, 4)", "update made set a = 5", "insert into made values (2, 6)")
        captured, rows = await own.messages(tmp_path, '{"id":2}'), await own.rows()
        assert {key: row["twice"] for key, row in rows.items()} == {'{"id":1}': 10, '{"id":2}': 12}
        for key, row in rows.items():
            after = captured[key]
            assert after["a"] == row["a"]
            assert after.get("twice", row["twice"]) == row["twice"]

    async def test_every_replica_identity(self, database: str, slot: str, tmp_path: Path) -> None:
        """Deletions and changed keys are told apart with each that setup allows; changed while captured, too."""
        own = Captured(database, slot, TableMap("item", "items", "items", frozenset({"name"})))
        own.run("create table items (id integer primary key, name text, code integer not null)")
        await own.setup()
        own.run("create unique index by_both on items (id, code)")
        for number, identity in enumerate(["default", "full", "using index by_both", "default"]):
            first = number * 10
            own.run(
                f"alter table items replica identity {identity}",
                f"insert into items select i, repeat('x', 5000), i from generate_series({first}, {first + 3}) i",
                f"update items set code = code + 1000 where id = {first}",
                f"update items set id = id + 5 where id = {first + 1}",
                f"delete from items where id = {first + 2}",
            )
        own.run(f"insert into items values ({END}, 'end', 0)")
        captured = await own.messages(tmp_path, f'{{"id":{END}}}')
        shown(captured, await own.rows())

    async def test_changes_that_come_from_another_server(self, database: str, slot: str, tmp_path: Path) -> None:
        """What a subscription writes bears its origin: it is a change of this database like any other."""
        own = Captured(database, slot, TableMap("item", "items", "items", frozenset({"name"})))
        own.run("create table items (id integer primary key, name text)")
        await own.setup()
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("select pg_replication_origin_create(%s)", [slot])
            connection.execute("select pg_replication_origin_session_setup(%s)", [slot])
            connection.execute("insert into items values (1, 'from elsewhere')")
            connection.execute("select pg_replication_origin_session_reset()")
            connection.execute("select pg_replication_origin_drop(%s)", [slot])
        own.run("insert into items values (2, 'end')")
        shown(await own.messages(tmp_path, '{"id":2}'), await own.rows())

    async def test_a_publication_that_was_dropped(self, database: str, slot: str, tmp_path: Path) -> None:
        """Setup makes it anew, and the slot, which could not be read past the place where there was none."""
        own = Captured(database, slot, TableMap("item", "items", "items", frozenset({"name"})))
        own.run("create table items (id integer primary key, name text)")
        await own.setup()
        own.run(f"drop publication {slot}", "insert into items values (1, 'missed')")
        done = await own.setup()
        assert f"dropped the replication slot {slot}, whose publication was gone" in done
        assert any("were not seen" in each for each in done)
        own.run("insert into items values (2, 'seen')")
        assert await own.messages(tmp_path, '{"id":2}') == {'{"id":2}': {"id": 2, "name": "seen"}}

    async def test_a_publication_that_somebody_changed(self, database: str, slot: str, tmp_path: Path) -> None:
        """Setup brings it back to what capture needs, whatever the version lets people change; says what was missed."""
        own = Captured(database, slot, TableMap("item", "items", "items", frozenset({"name"})))
        own.run("create table items (id integer primary key, name text, amount integer)")
        await own.setup()
        assert await own.setup() == ["everything was in place"]
        changes = {f"alter publication {slot} set (publish = 'insert', publish_via_partition_root = false)": True}
        with psycopg.connect(database) as connection:
            if connection.info.server_version >= 150_000:
                changes[f"alter publication {slot} set table items (id, amount)"] = False
                changes[f"alter publication {slot} set table items where (id > 5)"] = True
        for change, missed in changes.items():
            own.run(change)
            done = await own.setup()
            assert any("run `bothways backfill`" in each for each in done) is missed, done
            assert await own.setup() == ["everything was in place"]
        own.run(
            "insert into items values (1, 'a', 1)",
            "update items set amount = 2",
            "insert into items values (2, 'b', 2)",
        )
        rows = await own.messages(tmp_path, '{"id":2}')
        shown(rows, await own.rows())

    async def test_columns_that_are_kept_off_the_log(self, database: str, slot: str, tmp_path: Path) -> None:
        """A publication may show some columns only, as long as the mapped ones are among them: setup leaves it so."""
        with psycopg.connect(database) as connection:
            if connection.info.server_version < 150_000:
                pytest.skip("before 15 a publication shows all columns")
        own = Captured(database, slot, TableMap("item", "items", "items", frozenset({"name"})))
        own.run("create table items (id integer primary key, name text, secret text, note text)")
        await own.setup()
        own.run(f"alter publication {slot} set table items (id, note)")
        assert any("mapped columns" in each for each in await own.setup())
        assert await own.setup() == ["everything was in place"]
        own.run("insert into items values (1, 'a', 'secret', 'n')")
        assert await own.messages(tmp_path, '{"id":1}') == {'{"id":1}': {"id": 1, "name": "a", "note": "n"}}


def _columns(database: str) -> list[str]:
    """The types that this server has."""
    with psycopg.connect(database, autocommit=True) as connection:
        missing = []
        for kind, statement in zip(NOT_EVERYWHERE, ("select '<a/>'::xml", "create extension hstore"), strict=True):
            try:
                connection.execute(statement.encode())
            except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile):
                missing.append(kind)
    return [kind for kind in MAKERS if kind not in missing]
