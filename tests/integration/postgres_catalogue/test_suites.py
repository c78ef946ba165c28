"""PostgreSQL does what every catalogue must do."""

from __future__ import annotations

from sqlalchemy import select

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.records import PostgresRecords
from bothways.ports import Catalogue, Pace, Records, Role
from bothways.state.cleanup import Cleanup
from bothways.state.pace import SharedPace
from bothways.state.store import Store
from tests.suites.catalogue import ConstraintSuite, RowSuite, TransactionSuite, UniqueSuite
from tests.suites.catalogue_state import JournalSuite, LinkSuite, WaitingSuite


class TestTransactions(TransactionSuite):
    """On PostgreSQL."""


class TestRows(RowSuite):
    """On PostgreSQL."""


class TestUnique(UniqueSuite):
    """On PostgreSQL."""


class TestConstraints(ConstraintSuite):
    """On PostgreSQL."""


class TestLinks(LinkSuite):
    """On PostgreSQL."""


class TestJournal(JournalSuite):
    """On PostgreSQL."""


class TestWaiting(WaitingSuite):
    """On PostgreSQL."""


def as_ports(catalogue: PostgresCatalogue) -> tuple[Catalogue, Store, Records, Pace, Role]:
    """The adapters as what others know them by: mypy holds them against the ports."""
    store = catalogue.store
    return catalogue, store, PostgresRecords(catalogue), SharedPace(store, "stripe", 25.0), Cleanup(store)


async def test_the_adapters_work_as_their_ports(catalogue: PostgresCatalogue) -> None:
    """Each does something through its port."""
    port, store, records, pace, role = as_ports(catalogue)
    async with port.transaction() as tx:
        assert await tx.checkpoints.load("nothing") is None
    async with store.session() as session:
        assert (await session.execute(select(store.clock))).scalar_one() > 1.7e9
    assert (await records.list("customer", 5, None)).rows == []
    await pace.turn()
    assert role.ready() is None
