"""The simulation's catalogue in memory does what every catalogue must do: else its histories would prove little."""

from __future__ import annotations

import itertools
import random

import pytest

from bothways.model.values import Value
from tests.simulation.catalogue import MemoryCatalogue, MemoryDatabase, Table
from tests.suites.catalogue import RowSuite, TransactionSuite, UniqueSuite
from tests.suites.catalogue_state import JournalSuite, LinkSuite, WaitingSuite


def fill(row: dict[str, Value]) -> None:
    """The defaults of a customer."""
    for column, default in (("tier", "basic"), ("guest", False)):
        if row.get(column) is None:
            row[column] = default


@pytest.fixture
def catalogue() -> MemoryCatalogue:
    """An empty catalogue of customers."""
    numbers = itertools.count()
    customers = Table(("id", "name", "email", "tier", "age", "guest"), unique=("email",), derive=fill)
    return MemoryCatalogue(MemoryDatabase({"customer": customers}, random.Random(0), lambda: f"t{next(numbers)}"))


class TestTransactions(TransactionSuite):
    """In memory."""


class TestRows(RowSuite):
    """In memory."""


class TestUnique(UniqueSuite):
    """In memory."""


class TestLinks(LinkSuite):
    """In memory."""


class TestJournal(JournalSuite):
    """In memory."""


class TestWaiting(WaitingSuite):
    """In memory."""
