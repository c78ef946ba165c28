"""Tables of all kinds on the newest version."""

from __future__ import annotations

from pathlib import Path

import pytest

from bothways.sync.mapping import TableMap
from tests.suites.postgres_tables import Captured, PostgresTableSuite


@pytest.fixture
def slot(database: str) -> str:
    """A name for the slot and the publication."""
    return database.rpartition("/")[2]


@pytest.fixture
def values_rows() -> int:
    """A few: the long run has many."""
    return 60


class TestTables(PostgresTableSuite):
    """On PostgreSQL 18."""


async def test_virtual_columns(database: str, slot: str, tmp_path: Path) -> None:
    """No WAL holds them: the topic lacks them, the catalogue reads them; those that are stored are on the topic."""
    own = Captured(database, slot, TableMap("made", "made", "made", frozenset({"a", "twice", "thrice"})))
    thrice = "thrice integer generated always as (a * 3) stored"
    own.run(
        f"create table made (id integer primary key, a integer, twice integer generated always as (a * 2), {thrice})"
    )
    await own.setup()
    own.run("insert into made values (1, 4)")
    assert await own.messages(tmp_path, '{"id":1}') == {'{"id":1}': {"id": 1, "a": 4, "thrice": 12}}
    assert await own.rows() == {'{"id":1}': {"id": 1, "a": 4, "twice": 8, "thrice": 12}}


@pytest.mark.soak
async def test_many_values(database: str, slot: str, tmp_path: Path) -> None:
    """The same with rows enough that every kind of value meets every other."""
    await TestTables().test_values_of_every_type(database, slot, tmp_path, 4000)
