"""Making what the sync needs, refusing what cannot work, and taking all of it away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bothways.connectors.postgres import checks
from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.setup import inspect, setup, teardown
from bothways.connectors.postgres.tables import Identity
from bothways.model.errors import Busy, Forbidden, SettingsError
from bothways.state.revisions import Revisions
from bothways.sync.mapping import TableMap
from tests.integration.postgres_catalogue.conftest import CUSTOMERS, INVOICES, TABLES, run
from tests.servers import postgres
from tests.servers.postgres import database_on

BOTH = [CUSTOMERS, INVOICES]


@pytest.fixture
def tables(database: str) -> str:
    """The URL of a database with the user's tables, and nothing of ours."""
    run(database, TABLES)
    return database


def published(sql: psycopg.Connection, publication: str) -> set[str]:
    """What the publication shows."""
    query = "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = %s"
    return {name for (name,) in sql.execute(query, [publication]).fetchall()}


def nothing_was_made(sql: psycopg.Connection) -> bool:
    """Neither state nor publication nor slot."""
    query = """SELECT FROM pg_namespace WHERE nspname = 'bothways' UNION ALL SELECT FROM pg_publication
               UNION ALL SELECT FROM pg_replication_slots WHERE database = current_database()"""
    return sql.execute(query).fetchone() is None


async def test_setup_says_what_it_made_and_can_be_repeated(tables: str, slot: str, sql: psycopg.Connection) -> None:
    """The second time everything is in place, and the installation is the same."""
    done = await setup(tables, BOTH, slot=slot, publication=slot, new_id=lambda: "the id")
    migrations = ["state,"] * len(Revisions().all())
    assert [each.split()[0] for each in done] == ["made", *migrations, "this", "made", "made"]
    assert await setup(tables, BOTH, slot=slot, publication=slot) == ["everything was in place"]
    catalogue = PostgresCatalogue(tables, BOTH)
    await catalogue.open()
    assert await catalogue.installation() == "the id"
    await catalogue.close()
    assert published(sql, slot) == {"public.customers", "public.invoices"}


async def test_setup_follows_the_settings(tables: str, slot: str, sql: psycopg.Connection) -> None:
    """The publication is of exactly the mapped tables, also of none."""
    for wanted, names in [
        ([CUSTOMERS], {"public.customers"}),
        (BOTH, {"public.customers", "public.invoices"}),
        ([INVOICES], {"public.invoices"}),
        ([], set()),
        ([CUSTOMERS], {"public.customers"}),
    ]:
        done = await setup(tables, wanted, slot=slot, publication=slot)
        assert any("publication" in each for each in done)
        assert published(sql, slot) == names


async def test_a_table_more_or_less_is_said(tables: str, slot: str, sql: psycopg.Connection) -> None:
    """What a table saw before it was published has to be looked for; one that is taken out is named."""
    await setup(tables, [CUSTOMERS], slot=slot, publication=slot)
    done = await setup(tables, BOTH, slot=slot, publication=slot)
    told = "changes that invoices saw before this are not on the log: run `bothways backfill invoice --again`"
    assert done[1:] == [told]
    assert await setup(tables, [CUSTOMERS], slot=slot, publication=slot, narrow=False) == ["everything was in place"]
    assert published(sql, slot) == {"public.customers", "public.invoices"}
    (line,) = await setup(tables, [CUSTOMERS], slot=slot, publication=slot)
    assert line.startswith('"public"."invoices" is no longer captured')


async def test_two_setups_at_once(tables: str, slot: str) -> None:
    """One waits for the other: everything is made once."""
    both = await asyncio.gather(*(setup(tables, BOTH, slot=slot, publication=slot) for _ in range(2)))
    assert sorted(len(done) for done in both) == [1, 4 + len(Revisions().all())]


async def test_teardown_takes_everything_away(tables: str, slot: str, sql: psycopg.Connection) -> None:
    """Slot, publication and state; the user's tables stay. Repeatable."""
    await setup(tables, BOTH, slot=slot, publication=slot)
    done = await teardown(tables, slot=slot, publication=slot)
    assert ["slot" in done[0], "publication" in done[1], "schema" in done[2]] == [True] * 3
    assert sql.execute("SELECT FROM pg_replication_slots WHERE slot_name = %s", [slot]).fetchone() is None
    assert sql.execute("SELECT FROM pg_publication").fetchone() is None
    assert sql.execute("SELECT FROM pg_namespace WHERE nspname = 'bothways'").fetchone() is None
    assert sql.execute("SELECT count(*) FROM customers").fetchone() == (0,)
    assert await teardown(tables, slot=slot, publication=slot) == ["nothing was there"]
    catalogue = PostgresCatalogue(tables, BOTH)
    with pytest.raises(SettingsError, match="setup"):
        await catalogue.open()
    await catalogue.close()


async def test_teardown_leaves_a_slot_that_is_read(tables: str, slot: str) -> None:
    """It says who reads it; nothing was taken away."""
    await setup(tables, BOTH, slot=slot, publication=slot)
    with closing(psycopg.connect(f"{tables}?replication=database", autocommit=True)) as reader:
        start = f"START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names '{slot}')"
        reader.pgconn.send_query(start.encode())
        assert reader.pgconn.get_result() is not None
        with pytest.raises(Busy, match="being captured"):
            await teardown(tables, slot=slot, publication=slot)
    assert await setup(tables, BOTH, slot=slot, publication=slot) == ["everything was in place"]


async def test_inspect_describes_the_tables(tables: str) -> None:
    """Columns with their types, what an insert must name, the key, what the WAL shows of an old row."""
    customers, invoices = await inspect(tables, BOTH)
    assert (customers.entity, customers.schema, customers.name) == ("customer", "public", "customers")
    assert customers.key == ("id",)
    assert (customers.identity, customers.identity_columns) == (Identity.DEFAULT, ("id",))
    assert list(customers.columns) == ["id", "name", "email", "tier", "age", "guest", "secret"]
    assert customers.columns["id"].has_default
    assert not customers.columns["id"].generated
    name, tier = customers.columns["name"], customers.columns["tier"]
    assert (name.nullable, name.has_default, name.type_name) == (False, False, "text")
    assert (tier.nullable, tier.has_default) == (True, True)
    assert invoices.columns["amount"].type_name == "numeric(10,2)"
    assert invoices.columns["amount"].cast == "numeric"
    with pytest.raises(SettingsError, match="nowhere"):
        await inspect(tables, [replace(CUSTOMERS, table="nowhere")])
    with pytest.raises(SettingsError, match=r"where = .* is no condition on .*unterminated quoted string"):
        await inspect(tables, [replace(CUSTOMERS, where="name <> 'x")])


OTHER_IDENTITY = "ALTER TABLE things REPLICA IDENTITY USING INDEX things_a_key"


def mapped(table: str, *columns: str, where: str | None = None) -> list[TableMap]:
    """One entity on a table."""
    return [TableMap("thing", table, "things", frozenset(columns), where=where)]


@pytest.mark.parametrize(
    ("sql_text", "tables_wanted", "message", "mends"),
    [
        ("", mapped("things"), "no table 'things'", "schema"),
        ("CREATE VIEW things AS SELECT 1 AS id", mapped("things"), "no table 'things'", ""),
        ("CREATE TABLE things (id int PRIMARY KEY)", mapped("things", "name"), "no column 'name'", "id"),
        ("CREATE TABLE things (id int)", mapped("things"), "no primary key", "ADD PRIMARY KEY"),
        ("CREATE TABLE things (id int PRIMARY KEY DEFERRABLE)", mapped("things"), "deferrable", "ADD PRIMARY KEY"),
        (
            "CREATE TABLE things (id int PRIMARY KEY); ALTER TABLE things REPLICA IDENTITY NOTHING",
            mapped("things"),
            "replica identity",
            'ALTER TABLE "public"."things" REPLICA IDENTITY DEFAULT',
        ),
        (
            "CREATE TABLE things (id int PRIMARY KEY, a int NOT NULL UNIQUE); " + OTHER_IDENTITY,
            mapped("things", "a"),
            "replica identity",
            "REPLICA IDENTITY DEFAULT",
        ),
        ("CREATE TABLE things (id int PRIMARY KEY)", mapped("things", where="not is_guest"), "is_guest", ""),
        ("CREATE TABLE things (id int PRIMARY KEY)", mapped("things", where="id >"), "is no condition", ""),
    ],
    ids=["missing", "view", "column", "no-key", "deferrable", "nothing", "other-index", "where", "syntax"],
)
async def test_tables_that_cannot_work_are_refused(
    database: str,
    slot: str,
    sql: psycopg.Connection,
    sql_text: str,
    tables_wanted: list[TableMap],
    message: str,
    mends: str,
) -> None:
    """With the entity, the reason and what to do; nothing is made, neither state nor slot."""
    run(database, sql_text or "SELECT 1")
    with pytest.raises(SettingsError, match=message) as caught:
        await setup(database, tables_wanted, slot=slot, publication=slot)
    assert "[entities.thing]" in caught.value.message
    assert mends in caught.value.hint
    assert sql.execute("SELECT FROM pg_namespace WHERE nspname = 'bothways'").fetchone() is None
    assert sql.execute("SELECT FROM pg_replication_slots WHERE slot_name = %s", [slot]).fetchone() is None


async def test_a_column_that_no_remote_can_fill(tables: str, slot: str) -> None:
    """Is refused where remote objects become rows, with the statement that mends it; else it does not matter."""
    with pytest.raises(SettingsError, match="'name'") as caught:
        await setup(tables, BOTH, slot=slot, publication=slot, fills={"customer": {"email"}})
    assert 'ALTER COLUMN "name" SET DEFAULT' in caught.value.hint
    await setup(tables, BOTH, slot=slot, publication=slot, fills={"customer": {"email", "name"}})


async def test_users_without_the_right(postgres_server: str, tables: str, slot: str, sql: psycopg.Connection) -> None:
    """The refusal names the user, and the statement; a missing grant is told as such."""
    user = f"user_{slot}"
    url = tables.replace("postgres@", f"{user}@")
    sql.execute(f"CREATE ROLE {user} LOGIN".encode())
    try:
        with pytest.raises(SettingsError, match=user) as caught:
            await setup(url, BOTH, slot=slot, publication=slot)
        assert caught.value.hint.startswith(f'ALTER ROLE "{user}" REPLICATION')
        sql.execute(f"ALTER ROLE {user} REPLICATION".encode())
        with pytest.raises(SettingsError, match="may not make a schema") as caught:
            await setup(url, BOTH, slot=slot, publication=slot)
        database = tables.rpartition("/")[2]
        assert caught.value.hint == f"GRANT CREATE ON DATABASE {database} TO {user};"
        sql.execute(caught.value.hint.encode())
        for table in ("customers", "invoices"):
            with pytest.raises(SettingsError, match=f"the table {table} belongs to postgres") as caught:
                await setup(url, BOTH, slot=slot, publication=slot)
            assert caught.value.hint == f"ALTER TABLE {table} OWNER TO {user};"
            assert nothing_was_made(sql)
            sql.execute(caught.value.hint.encode())
        await setup(url, BOTH, slot=slot, publication=slot)
        sql.execute("ALTER TABLE customers OWNER TO postgres")
        sql.execute(f"ALTER PUBLICATION {slot} OWNER TO postgres".encode())  # from here on an administrator's
        sql.execute(f"ALTER PUBLICATION {slot} SET (publish_via_partition_root = false)".encode())
        assert await setup(url, [INVOICES], slot=slot, publication=slot, narrow=False) == ["everything was in place"]
        sql.execute(f"ALTER PUBLICATION {slot} SET (publish = 'insert')".encode())
        with pytest.raises(SettingsError, match="belongs to somebody else") as caught:
            await setup(url, [INVOICES], slot=slot, publication=slot, narrow=False)
        sql.execute(caught.value.hint.encode())
        with pytest.raises(Forbidden, match="permission denied") as denied:
            await setup(url, BOTH, slot=slot, publication=slot)
        assert denied.value.hint.startswith("GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO")
        await teardown(tables, slot=slot, publication=slot)
    finally:
        sql.execute(f"DROP OWNED BY {user}; DROP ROLE {user}".encode())


@pytest.fixture(scope="module")
def replica_level(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose WAL does not tell of rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(postgres.SETTINGS, "wal_level", "replica")
        folder: Path = tmp_path_factory.mktemp("replica_level")
        with postgres.running(folder) as address:
            yield address


async def test_a_server_that_cannot_be_captured_from(replica_level: str) -> None:
    """The setting is named, and the statement."""
    with pytest.raises(SettingsError, match="wal_level") as caught:
        await setup(f"{replica_level}/postgres", [], slot="s", publication="p")
    assert "ALTER SYSTEM SET wal_level = logical" in caught.value.hint


async def test_a_server_that_is_too_old(tables: str, slot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its version and the oldest that works are named."""
    monkeypatch.setattr(checks, "OLDEST", 99)
    with pytest.raises(SettingsError, match="99"):
        await setup(tables, BOTH, slot=slot, publication=slot)


async def test_what_is_there_under_our_names(
    postgres_server: str, tables: str, slot: str, sql: psycopg.Connection
) -> None:
    """A slot of another database, a publication of all tables, a name that is none: refused, not taken over."""
    with database_on(postgres_server) as other:
        run(other, f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
        with pytest.raises(SettingsError, match="another database"):
            await setup(tables, BOTH, slot=slot, publication=slot)
    with pytest.raises(SettingsError, match="no name for a slot"):
        await setup(tables, BOTH, slot="Not A Name", publication=slot)
    assert nothing_was_made(sql)
    sql.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    with pytest.raises(SettingsError, match="all tables"):
        await setup(tables, BOTH, slot=slot, publication="everything")
    sql.execute("DROP PUBLICATION everything")
    assert nothing_was_made(sql)


async def test_a_partitioned_table_is_one_table(database: str, slot: str, sql: psycopg.Connection) -> None:
    """It is published and written by its own name."""
    run(
        database,
        "CREATE TABLE things (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);"
        "CREATE TABLE things_1 PARTITION OF things FOR VALUES FROM (0) TO (100)",
    )
    tables_wanted = mapped("things", "name")
    await setup(database, tables_wanted, slot=slot, publication=slot)
    assert published(sql, slot) == {"public.things"}
    catalogue = PostgresCatalogue(database, tables_wanted)
    async with catalogue.transaction() as tx:
        row = await tx.rows.insert("thing", {"id": 1, "name": "x"})
    assert row.key == '{"id":1}'
    await catalogue.close()
