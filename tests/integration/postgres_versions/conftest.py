"""The fixtures of capture and catalogue on each older version in turn: ``database`` stands on another server here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.postgres_capture.conftest import source
from tests.integration.postgres_catalogue.conftest import catalogue, prepared, slot, sql

__all__ = ["catalogue", "prepared", "slot", "source", "sql"]


@pytest.fixture(scope="session")
def postgres_server(older_server: str) -> str:
    """The older version's."""
    return older_server


@pytest.fixture
def log_url(tmp_path: Path) -> str:
    """Which log it is makes no difference to the database."""
    return f"sqlite:///{tmp_path}/log.db"


@pytest.fixture
def values_rows() -> int:
    """Rows of random values: each version costs time."""
    return 25
