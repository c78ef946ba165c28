"""The older versions do what the newest does; what costs time is left to ``make soak``."""

from __future__ import annotations

import pytest

from tests.suites.capture import CaptureRestartSuite, CaptureSuite
from tests.suites.catalogue import ConstraintSuite, RowSuite, TransactionSuite, UniqueSuite
from tests.suites.catalogue_state import JournalSuite, LinkSuite, WaitingSuite
from tests.suites.postgres_tables import PostgresTableSuite


class TestCapture(CaptureSuite):
    """Every kind of change, on each version."""


class TestTables(PostgresTableSuite):
    """Tables of all kinds, on each version."""


@pytest.mark.soak
class TestCaptureRestart(CaptureRestartSuite):
    """Restarts, on each version."""


class TestConstraints(ConstraintSuite):
    """Errors of the database, on each version."""


@pytest.mark.soak
class TestTransactions(TransactionSuite):
    """On each version."""


@pytest.mark.soak
class TestRows(RowSuite):
    """On each version."""


@pytest.mark.soak
class TestUnique(UniqueSuite):
    """On each version."""


@pytest.mark.soak
class TestLinks(LinkSuite):
    """On each version."""


@pytest.mark.soak
class TestJournal(JournalSuite):
    """On each version."""


@pytest.mark.soak
class TestWaiting(WaitingSuite):
    """On each version."""
