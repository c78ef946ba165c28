"""What every catalogue must do, whatever database is behind it: ``ports.Catalogue`` and the rows in it.

The adapter's test module inherits a class and gives a fixture ``catalogue``: an empty catalogue with the entities

- ``customer``: ``id`` (whole number, made by the database), ``name`` (text, never null), ``email`` (text, unique),
  ``tier`` (text, ``basic`` unless given), ``age`` (whole number, never negative), ``guest`` (boolean, false unless
  given; guests do not take part);
- ``invoice``: ``id``, ``customer_id`` (points to a customer, who cannot be deleted then), ``amount`` (a decimal with
  two places).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from bothways.model.errors import NotUnique, RowRefused
from bothways.model.record import RecordId, Row
from bothways.model.values import Value
from bothways.ports import Catalogue, Transaction

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds in which what can happen does happen."""
STILL = 0.25
"""Seconds in which what has to wait would have happened if it did not wait."""


async def still_waits(task: asyncio.Task[T]) -> bool:
    """Whether the task is held up by something."""
    done, _ = await asyncio.wait({task}, timeout=STILL)
    return not done


async def ended(task: Awaitable[T]) -> T:
    """The task's result, in time."""
    return await asyncio.wait_for(task, PATIENCE)


async def add(catalogue: Catalogue, email: str, **values: Value) -> Row:
    """A customer, committed."""
    async with catalogue.transaction() as tx:
        return await tx.rows.insert("customer", {"name": "Ada", "email": email, **values})


def customer(row: Row) -> RecordId:
    """The record of a customer's row."""
    return RecordId("customer", row.key)


class Stop(Exception):
    """Raised by tests to leave a transaction."""


class TransactionSuite:
    """Transactions are whole, and rows are locked."""

    async def test_what_a_transaction_wrote_is_there_for_the_next(self, catalogue: Catalogue) -> None:
        """A commit makes rows and state visible."""
        async with catalogue.transaction() as tx:
            row = await tx.rows.insert("customer", {"name": "Ada", "email": "ada@example.com"})
            await tx.checkpoints.store("place", {"line": 7})
        async with catalogue.transaction() as tx:
            assert await tx.rows.read(customer(row)) == row
            assert await tx.checkpoints.load("place") == {"line": 7}

    async def test_what_is_to_be_done_afterwards_is_done_after_the_commit(self, catalogue: Catalogue) -> None:
        """Once, and not where the transaction is taken back."""
        done: list[str] = []

        async def write(name: str, error: Exception | None) -> None:
            async with catalogue.transaction() as tx:
                await tx.checkpoints.store(name, 1)
                tx.afterwards(lambda: done.append(name))
                assert done == []
                if error is not None:
                    raise error

        with pytest.raises(Stop):
            await write("taken back", Stop())
        await write("kept", None)
        assert done == ["kept"]

    async def test_an_exception_takes_everything_back(self, catalogue: Catalogue) -> None:
        """Rows, links and all other state are rolled back together."""
        record = RecordId("customer", '{"id":1}')
        made: list[Row] = []

        async def fail() -> None:
            async with catalogue.transaction() as tx:
                made.append(await tx.rows.insert("customer", {"name": "Ada", "email": "ada@example.com"}))
                await tx.links.claim(record, "stripe")
                await tx.journal.see("stripe", "evt_1")
                await tx.checkpoints.store("place", 1)
                raise Stop

        with pytest.raises(Stop):
            await fail()
        async with catalogue.transaction() as tx:
            assert await tx.rows.read(customer(made[0])) is None
            assert await tx.links.lock(record, "stripe") is None
            assert await tx.journal.see("stripe", "evt_1")
            assert await tx.checkpoints.load("place") is None

    async def test_cancellation_takes_everything_back(self, catalogue: Catalogue) -> None:
        """A worker that is cancelled in a transaction leaves nothing behind, and no lock either."""
        row = await add(catalogue, "ada@example.com")
        inside = asyncio.Event()

        async def worker() -> None:
            async with catalogue.transaction() as tx:
                await tx.rows.update(customer(row), {"name": "Grace"})
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(worker())
        await ended(inside.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ended(task)
        async with catalogue.transaction() as tx:
            again = await ended(tx.rows.read(customer(row), lock=True))
            assert again == row

    async def test_a_cancelled_wait_for_a_lock_leaves_the_catalogue_usable(self, catalogue: Catalogue) -> None:
        """Cancellation in the middle of a statement harms neither this nor the next transaction."""
        row = await add(catalogue, "ada@example.com")

        async def worker() -> None:
            async with catalogue.transaction() as tx:
                await tx.rows.read(customer(row), lock=True)

        async with catalogue.transaction() as tx:
            await tx.rows.read(customer(row), lock=True)
            task = asyncio.create_task(worker())
            assert await still_waits(task)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ended(task)
            await tx.rows.update(customer(row), {"name": "Grace"})
        async with catalogue.transaction() as tx:
            found = await tx.rows.read(customer(row), lock=True)
        assert found is not None
        assert found.values["name"] == "Grace"

    async def test_a_transaction_sees_what_was_committed_before_each_statement(self, catalogue: Catalogue) -> None:
        """READ COMMITTED: a read is never older than its beginning."""
        row = await add(catalogue, "ada@example.com")
        async with catalogue.transaction() as tx:
            assert await tx.rows.read(customer(row)) == row
            async with catalogue.transaction() as other:
                await other.rows.update(customer(row), {"name": "Grace"})
            again = await tx.rows.read(customer(row))
        assert again is not None
        assert again.values["name"] == "Grace"

    async def test_a_locked_row_waits_for_the_other_transaction(self, catalogue: Catalogue) -> None:
        """Whoever locks second sees what the first has written."""
        row = await add(catalogue, "ada@example.com", age=1)

        async def add_one(read: Callable[[Transaction], Awaitable[Row | None]]) -> None:
            async with catalogue.transaction() as tx:
                found = await read(tx)
                assert found is not None
                age = found.values["age"]
                assert isinstance(age, int)
                await tx.rows.update(customer(row), {"age": age + 1})

        async with catalogue.transaction() as tx:
            await tx.rows.read(customer(row), lock=True)
            second = asyncio.create_task(add_one(lambda other: other.rows.read(customer(row), lock=True)))
            assert await still_waits(second)
            await tx.rows.update(customer(row), {"age": 10})
        await ended(second)
        async with catalogue.transaction() as tx:
            found = await tx.rows.read(customer(row))
        assert found is not None
        assert found.values["age"] == 11


class RowSuite:
    """Rows are read, written and found."""

    async def test_a_new_row_is_read_back_with_its_defaults(self, catalogue: Catalogue) -> None:
        """What the database fills in is part of the answer."""
        row = await add(catalogue, "ada@example.com")
        assert row.values["tier"] == "basic"
        assert row.values["age"] is None
        assert row.takes_part
        assert row.key == f'{{"id":{row.values["id"]}}}'

    async def test_an_update_sets_the_named_columns_only(self, catalogue: Catalogue) -> None:
        """The other columns stay, and the answer shows them all."""
        row = await add(catalogue, "ada@example.com", age=36)
        async with catalogue.transaction() as tx:
            after = await tx.rows.update(customer(row), {"tier": "gold", "age": None})
        assert after.values == {**row.values, "tier": "gold", "age": None}
        async with catalogue.transaction() as tx:
            assert await tx.rows.read(customer(row)) == after

    async def test_a_row_that_is_not_there(self, catalogue: Catalogue) -> None:
        """Reading gives nothing, deleting does nothing, updating is refused."""
        nobody = RecordId("customer", '{"id":4711}')
        async with catalogue.transaction() as tx:
            assert await tx.rows.read(nobody) is None
            assert await tx.rows.read(nobody, lock=True) is None
            await tx.rows.delete(nobody)
            with pytest.raises(RowRefused):
                await tx.rows.update(nobody, {"name": "Ada"})

    async def test_a_deleted_row_is_gone(self, catalogue: Catalogue) -> None:
        """For this transaction and the next."""
        row = await add(catalogue, "ada@example.com")
        async with catalogue.transaction() as tx:
            await tx.rows.delete(customer(row))
            assert await tx.rows.read(customer(row)) is None
        async with catalogue.transaction() as tx:
            assert await tx.rows.read(customer(row)) is None

    async def test_rows_are_found_by_their_values(self, catalogue: Catalogue) -> None:
        """All columns must be equal, null only to null; the limit holds, in the key's order."""
        ada = await add(catalogue, "ada@example.com", age=36)
        grace = await add(catalogue, "grace@example.com")
        await add(catalogue, "edsger@example.com", tier="gold", age=36)
        async with catalogue.transaction() as tx:
            find = tx.search.find
            assert await find("customer", {"email": "grace@example.com"}) == [grace]
            assert await find("customer", {"tier": "basic", "age": 36}) == [ada]
            assert await find("customer", {"age": None}) == [grace]
            assert await find("customer", {"tier": "basic"}) == [ada, grace]
            assert await find("customer", {"tier": "basic"}, limit=1) == [ada]
            assert await find("customer", {"email": "nobody@example.com"}) == []

    async def test_a_value_of_another_type_finds_nothing(self, catalogue: Catalogue) -> None:
        """A remote's value may be anything; the transaction goes on."""
        row = await add(catalogue, "ada@example.com", age=36)
        async with catalogue.transaction() as tx:
            assert await tx.search.find("customer", {"age": "thirty-six"}) == []
            assert await tx.search.find("customer", {"email": {"a": [1]}}) == []
            assert await tx.rows.read(customer(row)) == row

    async def test_pages_go_through_all_rows_once(self, catalogue: Catalogue) -> None:
        """In the key's order, also past 9, where text would order otherwise; rows that take no part too."""
        rows = [await add(catalogue, f"{number}@example.com", guest=number % 2 == 0) for number in range(12)]
        seen: list[Row] = []
        async with catalogue.transaction() as tx:
            after: str | None = None
            while page := await tx.search.page("customer", after, 5):
                assert len(page) <= 5
                seen.extend(page)
                after = page[-1].key
        assert seen == rows


class UniqueSuite:
    """A row that is there already is told, and the transaction goes on."""

    async def test_a_second_row_of_a_unique_value(self, catalogue: Catalogue) -> None:
        """``NotUnique`` names the constraint; what was done before in the transaction stays."""
        await add(catalogue, "ada@example.com")
        async with catalogue.transaction() as tx:
            before = await tx.rows.insert("customer", {"name": "Grace", "email": "grace@example.com"})
            with pytest.raises(NotUnique) as caught:
                await tx.rows.insert("customer", {"name": "Ada", "email": "ada@example.com"})
            assert "email" in caught.value.constraint
            with pytest.raises(NotUnique):
                await tx.rows.update(customer(before), {"email": "ada@example.com"})
            after = await tx.rows.update(customer(before), {"email": "hopper@example.com"})
        async with catalogue.transaction() as tx:
            assert await tx.rows.read(customer(before)) == after


class ConstraintSuite:
    """What only a database with types, constraints and conditions does."""

    @pytest.mark.parametrize(
        ("column", "value"),
        [("name", None), ("age", -1), ("age", "old"), ("age", True), ("name", {"first": "Ada"}), ("age", 2**70)],
        ids=["null", "check", "no-number", "boolean", "object", "too-big"],
    )
    async def test_a_value_that_the_column_does_not_take(self, catalogue: Catalogue, column: str, value: Value) -> None:
        """``RowRefused`` names the column, at an insert and at an update; the rest can be written."""
        row = await add(catalogue, "ada@example.com", age=36)
        async with catalogue.transaction() as tx:
            with pytest.raises(RowRefused) as caught:
                await tx.rows.update(customer(row), {"tier": "gold", column: value})
            assert caught.value.field == column
            assert caught.value.hint
            with pytest.raises(RowRefused) as caught:
                await tx.rows.insert("customer", {"name": "Grace", "email": "grace@example.com", column: value})
            assert caught.value.field == column
            await tx.rows.update(customer(row), {"tier": "gold"})
        async with catalogue.transaction() as tx:
            found = await tx.rows.read(customer(row))
        assert found is not None
        assert found.values == {**row.values, "tier": "gold"}

    async def test_a_row_that_others_point_to_is_not_deleted(self, catalogue: Catalogue) -> None:
        """``RowRefused``; nothing is deleted in its wake, and the transaction goes on."""
        row = await add(catalogue, "ada@example.com")
        async with catalogue.transaction() as tx:
            invoice = await tx.rows.insert("invoice", {"customer_id": row.values["id"], "amount": "12.50"})
        async with catalogue.transaction() as tx:
            with pytest.raises(RowRefused):
                await tx.rows.delete(customer(row))
            assert await tx.rows.read(RecordId("invoice", invoice.key)) == invoice
            await tx.rows.update(customer(row), {"tier": "gold"})

    async def test_a_reference_to_nothing(self, catalogue: Catalogue) -> None:
        """``RowRefused`` names the column that points."""
        async with catalogue.transaction() as tx:
            with pytest.raises(RowRefused) as caught:
                await tx.rows.insert("invoice", {"customer_id": 4711, "amount": "1.00"})
            assert caught.value.field == "customer_id"

    async def test_a_locked_row_can_still_be_pointed_to(self, catalogue: Catalogue) -> None:
        """The lock of a row does not hold up the application's inserts that refer to it."""
        row = await add(catalogue, "ada@example.com")
        async with catalogue.transaction() as tx:
            await tx.rows.read(customer(row), lock=True)
            async with catalogue.transaction() as other:
                values = {"customer_id": row.values["id"], "amount": "1.00"}
                invoice = await ended(other.rows.insert("invoice", values))
        assert invoice.values["amount"] == "1.00"

    async def test_the_condition_of_the_entity_is_told_with_the_row(self, catalogue: Catalogue) -> None:
        """A row outside of it can be read, and says so, after each write too."""
        row = await add(catalogue, "ada@example.com", guest=True)
        assert not row.takes_part
        async with catalogue.transaction() as tx:
            assert (await tx.rows.update(customer(row), {"guest": False})).takes_part
            found = await tx.rows.read(customer(row))
        assert found is not None
        assert found.takes_part

    async def test_many_refusals_in_one_transaction(self, catalogue: Catalogue) -> None:
        """Each leaves the transaction as it was."""
        async with catalogue.transaction() as tx:
            for number in range(20):
                with pytest.raises(RowRefused):
                    await tx.rows.insert("customer", {"name": None, "email": f"{number}@example.com"})
                await tx.rows.insert("customer", {"name": "Ada", "email": f"{number}@example.com"})
        async with catalogue.transaction() as tx:
            assert len(await tx.search.page("customer", None, 100)) == 20
