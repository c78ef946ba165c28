"""PostgreSQL does what every catalogue must do."""

from __future__ import annotations

from tests.suites.catalogue import ConstraintSuite, RowSuite, TransactionSuite
from tests.suites.catalogue_state import JournalSuite, LinkSuite, WaitingSuite


class TestTransactions(TransactionSuite):
    """On PostgreSQL."""


class TestRows(RowSuite):
    """On PostgreSQL."""


class TestConstraints(ConstraintSuite):
    """On PostgreSQL."""


class TestLinks(LinkSuite):
    """On PostgreSQL."""


class TestJournal(JournalSuite):
    """On PostgreSQL."""


class TestWaiting(WaitingSuite):
    """On PostgreSQL."""
