"""`setup` and `teardown`."""

from __future__ import annotations

import psycopg
import pytest
from structlog.testing import capture_logs

from bothways.cli import exits
from bothways.config import load
from bothways.wiring import existing
from bothways.wiring.installing import set_up_parts
from bothways.wiring.parts import opened
from tests.integration.cli.program import Program


def slots(program: Program) -> list[str]:
    """The slots of the database."""
    with psycopg.connect(program.database) as connection:
        query = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
        return [row[0] for row in connection.execute(query)]


def test_setup_says_what_it_makes_and_can_be_repeated(program: Program) -> None:
    """The second time there is nothing to do; the slot is named after the database."""
    first = program.installed("setup", "--json").json()["done"]
    name = f"bothways_{program.database.rpartition('/')[2]}"
    assert any(name in line for line in first)
    assert slots(program) == [name]
    again = program("setup").out.splitlines()
    assert again[0] == "everything was in place"
    assert "the key of stripe could not be tried" in again[1]  # nobody answers there
    assert slots(program) == [name]


def test_teardown_takes_it_away_again(ready: Program) -> None:
    """Slot, publication and state; records stay. Unasked, only with --yes."""
    ready("records", "create", "customer", "name=Ada")
    assert ready("teardown", stdin="n\n").code == exits.FAILED
    unanswered = ready("teardown", stdin="")
    assert unanswered.code != exits.OK
    assert "bothways teardown --yes" in unanswered.err
    assert slots(ready)
    assert ready("teardown", "--yes").code == exits.OK
    assert slots(ready) == []
    assert ready("teardown", "--yes").out == "nothing was there\n"
    with psycopg.connect(ready.database) as connection:
        assert connection.execute("SELECT name FROM customers").fetchall() == [("Ada",)]
        assert connection.execute("SELECT FROM pg_namespace WHERE nspname = 'bothways'").fetchall() == []
        assert connection.execute("SELECT FROM pg_publication").fetchall() == []


def test_setup_refuses_what_does_not_fit_and_makes_nothing(program: Program) -> None:
    """The line and the way out are said, and the database is as it was."""
    settings = program.folder / "bothways.toml"
    settings.write_text(settings.read_text().replace('name = "name"', 'nam = "name"'))
    refused = program("setup")
    assert refused.code == exits.USAGE
    assert 'customers has no column "nam"; did you mean "name"?' in refused.err
    assert refused.err.startswith("bothways: bothways.toml:") or refused.err.startswith("bothways.toml:")
    assert slots(program) == []


def test_setup_asks_the_log_before_it_makes_a_slot(program: Program) -> None:
    """Where Kafka is not there nothing is made: a slot that nobody reads keeps the server's WAL."""
    settings = program.folder / "bothways.toml"
    settings.write_text('[log]\nurl = "kafka://127.0.0.1:1"\n\n' + settings.read_text())
    refused = program("setup")
    assert refused.code != exits.OK
    assert "127.0.0.1:1" in refused.err
    assert slots(program) == []
    with psycopg.connect(program.database) as connection:
        assert connection.execute("SELECT FROM pg_namespace WHERE nspname = 'bothways'").fetchall() == []


async def test_a_backfill_leaves_others_tables_in_the_publication(
    ready: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its settings lack an entity that a running `up` captures; only setup takes it out, and says so."""
    monkeypatch.setenv("DATABASE_URL", ready.database)
    name = f"bothways_{ready.database.rpartition('/')[2]}"
    published = "SELECT tablename FROM pg_publication_tables WHERE pubname = %s ORDER BY 1"
    with psycopg.connect(ready.database, autocommit=True) as connection:
        connection.execute("CREATE TABLE others (id int PRIMARY KEY)")
        connection.execute(f"ALTER PUBLICATION {name} ADD TABLE others".encode())
        async with opened(load(ready.folder / "bothways.toml")) as parts:
            await existing.prepared(parts, "customer", None)
            assert connection.execute(published, [name]).fetchall() == [("customers",), ("others",)]
            (line,) = await set_up_parts(parts)
        assert line.startswith('"public"."others" is no longer captured')
        assert connection.execute(published, [name]).fetchall() == [("customers",)]


def test_without_setup_the_rest_says_so(program: Program) -> None:
    """A hint instead of a missing table."""
    refused = program("records", "list", "customer")
    assert refused.code == exits.USAGE
    assert "bothways setup" in refused.err


def test_a_database_that_does_not_answer_is_an_exit_code_of_its_own(program: Program) -> None:
    """Scripts may try again; no password is told."""
    away = Program(program.folder, "postgresql://app:verysecret@127.0.0.1:1/shop")
    for command in (("setup",), ("status",), ("records", "list", "customer")):
        failed = away(*command)
        assert failed.code == exits.NOT_YET, (command, failed.err)
        assert "verysecret" not in failed.err
        assert "Traceback" not in failed.err


async def test_what_waits_for_a_backfill_is_said_once(ready: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first start, with the number of rows; not again."""
    monkeypatch.setenv("DATABASE_URL", ready.database)
    with psycopg.connect(ready.database, autocommit=True) as connection:
        connection.execute("INSERT INTO customers (name) VALUES ('Ada'), ('Grace')")
    with capture_logs() as said:
        async with opened(load(ready.folder / "bothways.toml")) as parts:
            await existing.tell_what_waits(parts)
            await existing.tell_what_waits(parts)
    assert [(line["event"], line["entity"], line["rows"]) for line in said] == [("backfill.waits", "customer", 2)]
