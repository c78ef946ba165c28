"""Installations on real servers: on the embedded log, or on Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation, installed
from tests.acceptance.standing import standing
from tests.servers.sandbox import SandboxProcess


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share an installation run in one of pytest-xdist's workers (with ``--dist loadgroup``).

    Those whose installation lies in a folder of their own share none.
    """
    for item in items:
        fixtures = {*getattr(item, "fixturenames", ())}
        if "shop" in fixtures and "tmp_path" not in fixtures:
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture
def sqlite_installation(tmp_path: Path, database: str, stripe_process: SandboxProcess) -> Iterator[Installation]:
    """On the embedded log."""
    with installed(tmp_path, database, stripe_process) as ready:
        yield ready


@pytest.fixture
def kafka_installation(
    tmp_path: Path, database: str, stripe_process: SandboxProcess, kafka_url: str
) -> Iterator[Installation]:
    """On Kafka."""
    with installed(tmp_path, database, stripe_process, log=kafka_url) as ready:
        yield ready


@pytest.fixture(params=["sqlite", "kafka"])
def installation(request: pytest.FixtureRequest) -> Installation:
    """On each log."""
    found: Installation = request.getfixturevalue(f"{request.param}_installation")
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Installation]:
    """One that is up for all tests of a module, on the embedded log; each test works on records of its own."""
    with standing(tmp_path_factory.mktemp("shop"), postgres_server) as ready:
        yield ready
