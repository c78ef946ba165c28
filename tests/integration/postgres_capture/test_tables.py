"""Tables of all kinds on the newest version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suites.postgres_tables import PostgresTableSuite


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


@pytest.mark.soak
async def test_many_values(database: str, slot: str, tmp_path: Path) -> None:
    """The same with rows enough that every kind of value meets every other."""
    await TestTables().test_values_of_every_type(database, slot, tmp_path, 4000)
