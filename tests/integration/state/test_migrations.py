"""The state's schema: made, brought up from what older programs made, and held against the tables in use."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.rows import dict_row
from sqlalchemy import Connection, Index, MetaData, Table

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.store import Limits, PostgresStore
from bothways.model.errors import SettingsError
from bothways.model.link import Link, Window
from bothways.model.record import RecordId
from bothways.state.revisions import Revisions, version
from bothways.state.schema import installation, require_current, upgrade
from bothways.state.tables import SCHEMA, metadata
from tests.servers.postgres import database_on

OLDEST = Path(__file__).with_name("oldest.sql").read_text()
SHIPPED = Revisions()
LATEST = SHIPPED.all()[-1].number
STEPS_BEFORE = "SELECT number FROM bothways.step ORDER BY number"

SHAPE = """
SELECT 'column', table_name || '.' || column_name, concat_ws(' ', data_type, character_maximum_length,
       is_nullable, column_default, identity_generation)
FROM information_schema.columns WHERE table_schema = 'bothways'
UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'bothways'
UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'bothways'::regnamespace ORDER BY 1, 2
"""


@pytest.fixture
def sql(database: str) -> Iterator[psycopg.Connection]:
    """A connection of somebody else's, in autocommit."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    """The state's place in that database."""
    made = PostgresStore(database, Limits(connections=2, lock=30.0))
    yield made
    await made.close()


@pytest.fixture
def longer(tmp_path: Path) -> Revisions:
    """What a later program knows: everything of today's and two migrations more; the last one waits for a lock."""
    for path in SHIPPED.folder.glob("v*.py"):
        (tmp_path / path.name).write_text(path.read_text())
    third, fourth = f"{int(LATEST) + 1:04}", f"{int(LATEST) + 2:04}"
    one_more = "op.add_column('seen', sa.Column('{}', sa.Text), schema='bothways')"
    for number, before, name, also in (
        (third, LATEST, "one", ""),
        (fourth, third, "two", "op.execute('SELECT pg_advisory_xact_lock(4711)')"),
    ):
        body = f"import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = '{number}', '{before}'\n"
        body += f"def upgrade():\n    {one_more.format(name)}\n    {also}\n"
        (tmp_path / f"v{number}_{name}.py").write_text(body)
    return Revisions(tmp_path)


def rows(sql: psycopg.Connection) -> dict[str, list[dict[str, object]]]:
    """All that the tables of the oldest schema hold, but for the list of steps."""
    cursor = sql.cursor(row_factory=dict_row)
    names = set(re.findall(r"CREATE TABLE (bothways\.\w+)", OLDEST)) - {"bothways.step"}
    return {name: cursor.execute(f"SELECT * FROM {name}".encode()).fetchall() for name in sorted(names)}


def still(old: dict[str, object], new: dict[str, object]) -> bool:
    """Whether a row holds what it held; it may have got columns."""
    return {**new, **old} == new


def at(sql: psycopg.Connection) -> str:
    """The revision that the schema is at."""
    (found,) = sql.execute(f"SELECT version_num FROM bothways.{version.name}".encode()).fetchall()
    return str(found[0])


def differences(connection: Connection, wanted: MetaData) -> list[object]:
    """What Alembic would write into a new migration."""

    def ours(_: object, name: str | None, kind: str, *__: object) -> bool:
        return kind != "table" or name != version.name

    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        "include_object": ours,
        "compare_type": True,
        "compare_server_default": True,
        "version_table": version.name,
        "version_table_schema": SCHEMA,
    }
    return [*compare_metadata(MigrationContext.configure(connection, opts=options), wanted)]


def test_files_say_their_place_and_stand_in_one_line() -> None:
    """The number in a file's name is its revision, each follows the one before, and Alembic sees the same."""
    script = ScriptDirectory(str(SHIPPED.folder), version_locations=[str(SHIPPED.folder)])
    chain = [each.revision for each in script.walk_revisions()][::-1]
    assert chain == [each.number for each in SHIPPED.all()] == [f"{n + 1:04}" for n in range(len(chain))]
    for number in chain:
        assert Path(script.get_revision(number).path).name.startswith(f"v{number}_")


async def test_migrations_make_the_tables_in_use(store: PostgresStore, postgres_server: str) -> None:
    """Alembic finds nothing to add; and columns, indexes and constraints are those that the tables describe."""
    await upgrade(store)
    async with store.session() as connection:
        assert await connection.run_sync(differences, metadata) == []
        migrated = (await connection.exec_driver_sql(SHAPE)).all()
    with database_on(postgres_server) as other:
        direct = PostgresStore(other, Limits(connections=1))
        async with direct.session() as connection:
            await connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
            await connection.run_sync(metadata.create_all)
            described = (await connection.exec_driver_sql(SHAPE)).all()
        await direct.close()
    assert [each for each in migrated if version.name not in str(each)] == described


async def test_a_table_that_no_migration_makes_is_found(store: PostgresStore) -> None:
    """The comparison sees a column, an index or a table more or less."""
    await upgrade(store)
    more = MetaData(schema=SCHEMA)
    for table in metadata.sorted_tables[1:]:
        table.to_metadata(more)
    Index("seen_more", more.tables["bothways.seen"].c.event_id)
    Table("more", more)
    async with store.session() as connection:
        found = await connection.run_sync(differences, more)
    assert sorted(each[0] for each in found if isinstance(each, tuple)) == [
        "add_index",
        "add_table",
        *["remove_index" for _ in metadata.sorted_tables[0].indexes],
        "remove_table",
    ]


@pytest.mark.parametrize("with_the_index", [False, True])
async def test_the_oldest_schema_is_brought_up(
    database: str, store: PostgresStore, sql: psycopg.Connection, with_the_index: bool
) -> None:
    """Tables from before there were migrations, also with the last index made then: no row is lost, links are read."""
    sql.execute(OLDEST.encode())
    if with_the_index:
        sql.execute("CREATE INDEX dead_letter_key ON bothways.dead_letter USING hash (key)")
    before = rows(sql)
    assert len(before) == 10
    assert all(before.values())
    async with store.session() as connection:
        with pytest.raises(SettingsError, match="older than this program"):
            await require_current(connection)
    done = await upgrade(store)
    assert done == [f"state, migration {each.number}: {each.name}" for each in SHIPPED.after("0001")]
    after = rows(sql)
    buried = {link["token"]: link.pop("document") for link in after["bothways.link"] if link["deleted"]}
    for name, kept in before.items():
        for old, new in zip(kept, after[name], strict=True):
            assert still({column: value for column, value in old.items() if column in new}, new), name
    assert list(buried) == ["token-6"]
    assert "Forgotten" not in str(buried)
    async with store.session() as connection:
        assert await connection.run_sync(differences, metadata) == []
        assert await installation(connection) == "the installation"
    catalogue = PostgresCatalogue(database, [])
    await catalogue.open()
    async with catalogue.transaction() as transaction:
        link = await transaction.links.lock(RecordId("customer", '{"id":7}'), "stripe")
        tombstone = await transaction.links.lock(RecordId("customer", '{"id":6}'), "stripe")
        attempt = await transaction.journal.attempt("key-1")
        letters = await transaction.people.letters.list()
    await catalogue.close()
    assert tombstone is not None
    assert (tombstone.deleted, tombstone.row_gone, tombstone.window) == (True, True, Window(1789999990, 1789999991))
    assert isinstance(link, Link)
    assert (link.token, link.revision, link.held["tier"].value, link.attempt) == ("token-7", 12, "gold", attempt)
    assert [each.letter.reason for each in letters] == ["no number"]


async def test_half_of_the_oldest_schema(store: PostgresStore, sql: psycopg.Connection) -> None:
    """A program of that time was killed after its very first table, in a schema that is there: no tables yet."""
    sql.execute(
        "CREATE SCHEMA bothways; CREATE TABLE bothways.step"
        " (number integer NOT NULL PRIMARY KEY, name text NOT NULL, at double precision NOT NULL)"
    )
    await upgrade(store)
    assert at(sql) == LATEST
    async with store.session() as connection:
        assert await connection.run_sync(differences, metadata) == []


async def test_programs_from_before_are_kept_out(store: PostgresStore, sql: psycopg.Connection) -> None:
    """They took a step that they do not know for a newer program's, and refused: there is one."""
    await upgrade(store)
    assert 2 in {number for (number,) in sql.execute(STEPS_BEFORE).fetchall()}


async def test_a_newer_schema_is_refused(store: PostgresStore, longer: Revisions, sql: psycopg.Connection) -> None:
    """By setup and by every command, with both numbers and with what to do; nothing is changed."""
    await upgrade(store, longer)
    newest = longer.all()[-1].number
    with pytest.raises(SettingsError, match=rf"newer bothways.*{newest}.*{LATEST}") as refused:
        await upgrade(store)
    assert "run the newer version" in refused.value.hint
    async with store.session() as connection:
        with pytest.raises(SettingsError, match="newer bothways"):
            await require_current(connection)
        await require_current(connection, longer)
    assert at(sql) == newest


async def test_programs_at_once(database: str, sql: psycopg.Connection) -> None:
    """Several start together on an old schema: each migration is taken once, and all of them go on."""
    sql.execute(OLDEST.encode())
    stores = [PostgresStore(database, Limits(connections=1, lock=60.0)) for _ in range(4)]
    done = await asyncio.gather(*(upgrade(each) for each in stores))
    assert sorted(line for lines in done for line in lines) == [
        f"state, migration {each.number}: {each.name}" for each in SHIPPED.after("0001")
    ]
    for each in stores:
        await each.close()
    assert at(sql) == LATEST


async def test_killed_in_the_middle(
    database: str, store: PostgresStore, longer: Revisions, sql: psycopg.Connection
) -> None:
    """SIGKILL within a migration: those before it stay, nothing of its own does, and the next program goes on there."""
    sql.execute(OLDEST.encode())
    sql.execute("SELECT pg_advisory_lock(4711)")
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from bothways.connectors.postgres.store import Limits, PostgresStore\n"
        "from bothways.state.revisions import Revisions; from bothways.state.schema import upgrade\n"
        "store = PostgresStore(sys.argv[1], Limits(connections=1, lock=600.0, statement=0.0))\n"
        "asyncio.run(upgrade(store, Revisions(Path(sys.argv[2]))))\n"
    )
    waits = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, database, str(longer.folder))
    while not (found := sql.execute(waits).fetchone()):
        assert process.returncode is None
        await asyncio.sleep(0.02)
    process.kill()
    await process.wait()
    sql.execute("SELECT pg_terminate_backend(%s, 10000)", found)
    sql.execute("SELECT pg_advisory_unlock(4711)")
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'seen' ORDER BY ordinal_position"
    assert at(sql) == longer.all()[-2].number
    assert [name for (name,) in sql.execute(columns)][-1] == "one"
    assert await upgrade(store, longer) == [f"state, migration {longer.all()[-1].number}: two"]
    assert [name for (name,) in sql.execute(columns)][-2:] == ["one", "two"]


async def test_what_the_docs_say_to_forget_somebody(store: PostgresStore, sql: psycopg.Connection) -> None:
    """The statements of docs/retention.md, as they stand there, leave of the example's record its link alone."""
    sql.execute(OLDEST.encode())
    await upgrade(store)
    page = (Path(__file__).parents[3] / "docs" / "retention.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    sql.execute(statements.encode())
    about = {name: [row for row in kept if '{"id":7}' in str(row)] for name, kept in rows(sql).items()}
    # An idempotency key of the API is forgotten within a day.
    assert {name for name, kept in about.items() if kept} == {"bothways.link", "bothways.request"}
