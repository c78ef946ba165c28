"""A program with its database; Stripe is asked for nothing but by the tests that say so."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.integration.cli.program import SETTINGS, TABLES, Program
from tests.servers.shared import free_ports


@pytest.fixture
def program(tmp_path: Path, database: str) -> Program:
    """The program, its tables made and its settings written; no setup yet."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES.encode())
    unused, port = free_ports(2)
    (tmp_path / "bothways.toml").write_text(SETTINGS.format(port=port, stripe=f"http://127.0.0.1:{unused}"))
    return Program(tmp_path, database)


@pytest.fixture
def ready(program: Program) -> Program:
    """The same after setup."""
    done = program("setup")
    assert done.code == 0, done.err
    return program
