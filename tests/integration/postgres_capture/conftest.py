"""A fresh database with a slot and a publication, and the logs that capture writes to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.postgres_capture.support import PostgresSource


@pytest.fixture
async def source(database: str) -> AsyncIterator[PostgresSource]:
    """The suite's table, captured from its beginning."""
    source = PostgresSource(database)
    await source.open("create table items (id integer primary key, name text, amount integer)")
    yield source
    await source.close()


@pytest.fixture(params=["sqlite", "kafka"])
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each log in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.db"
    address: str = request.getfixturevalue("kafka_url")
    return address
