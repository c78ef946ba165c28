"""The SQLite log passes the suite, and does what only it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bothways.eventlog.sqlite import Cleaning, SqliteLog
from bothways.ports import Topic
from tests.suites.log import AppendSuite, GroupSuite, ReadingSuite

SOON = Cleaning(interval_seconds=0.1, compact_after=1)


class SqliteFixtures:
    """An SQLite file in the test's own folder."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'test.db'}"

    @pytest.fixture
    async def compacting(self, tmp_path: Path) -> AsyncIterator[tuple[SqliteLog, str]]:
        log = SqliteLog(tmp_path / "test.db", SOON)
        await log.ensure([Topic("compacted", compacted=True, partitions=1)])
        yield log, "compacted"
        await log.close()

    @pytest.fixture
    async def forgetful(self, tmp_path: Path) -> AsyncIterator[tuple[SqliteLog, str]]:
        log = SqliteLog(tmp_path / "test.db", SOON)
        await log.ensure([Topic("forgetful", retention_seconds=0.2, partitions=1)])
        yield log, "forgetful"
        await log.close()


class TestAppend(SqliteFixtures, AppendSuite):
    """Appending."""


class TestGroups(SqliteFixtures, GroupSuite):
    """Groups."""


class TestReading(SqliteFixtures, ReadingSuite):
    """Reading."""
