"""Transactions on PostgreSQL: what is tried again, what capture sees of them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import psycopg
import pytest

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.store import Limits
from bothways.model.errors import Busy, MappingBroken, RowRefused, SettingsError
from bothways.model.record import RecordId
from tests.integration.postgres_catalogue.conftest import CUSTOMERS, INVOICES, LIMITS
from tests.servers.shared import free_ports
from tests.suites.catalogue import add, customer, ended


def messages(sql: psycopg.Connection, slot: str) -> list[tuple[str, object]]:
    """What capture sees, transaction by transaction: (kind, content) of changes and of our logical messages."""
    found = sql.execute(
        "SELECT data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version', '1',"
        " 'publication_names', %s, 'messages', 'true')",
        [slot, slot],
    ).fetchall()
    seen: list[tuple[str, object]] = []
    for (data,) in found:
        kind = data[:1].decode()
        if kind == "M":  # flags, LSN, prefix, length, content
            prefix, _, rest = data[10:].partition(b"\0")
            seen.append((prefix.decode(), json.loads(rest[4:])))
        elif kind in "IUD":
            seen.append((kind, None))
    return seen


async def test_the_mark_is_in_the_wal_with_the_rows(
    catalogue: PostgresCatalogue, sql: psycopg.Connection, slot: str
) -> None:
    """In the rows' own transaction; the last call counts; said before or after the rows makes no difference."""
    async with catalogue.transaction() as tx:
        await tx.mark("salesforce", "too early")
        row = await tx.rows.insert("customer", {"name": "Ada"})
        await tx.rows.update(customer(row), {"name": "Grace"})
        await tx.mark("stripe", "evt_1")
    marker = ("bothways", {"origin": "stripe", "cause": "evt_1"})
    assert messages(sql, slot) == [("I", None), ("U", None), marker]
    async with catalogue.transaction() as tx:
        await tx.rows.delete(customer(row))
    assert messages(sql, slot) == [("D", None)]


async def test_no_mark_without_a_row_of_ours(catalogue: PostgresCatalogue, sql: psycopg.Connection, slot: str) -> None:
    """State alone is nobody's change, and is not captured at all; what was rolled back leaves no mark."""
    async with catalogue.transaction() as tx:
        await tx.links.claim(RecordId("customer", '{"id":1}'), "stripe")
        await tx.rows.read(RecordId("customer", '{"id":1}'), lock=True)
        await tx.rows.delete(RecordId("customer", '{"id":1}'))
        await tx.mark("stripe", "evt_1")

    async def fail() -> None:
        async with catalogue.transaction() as tx:
            await tx.rows.insert("customer", {"name": "Ada"})
            await tx.mark("stripe", "evt_2")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert messages(sql, slot) == []


@pytest.fixture
async def hasty(prepared: str) -> PostgresCatalogue:
    """A catalogue with hardly any patience."""
    limits = Limits(connections=2, lock=0.2, statement=0.5, idle=0.3, wait=0.3)
    return PostgresCatalogue(prepared, [CUSTOMERS, INVOICES], limits=limits)


async def works(catalogue: PostgresCatalogue) -> None:
    """A transaction goes through."""
    async with catalogue.transaction() as tx:
        await tx.rows.insert("customer", {"name": "Ada"})


async def test_a_lock_that_does_not_come_free(hasty: PostgresCatalogue, sql: psycopg.Connection) -> None:
    """``Busy`` after the time-out, and nothing is written."""
    row = await add(hasty, "ada@example.com")

    async def late() -> None:
        async with hasty.transaction() as tx:
            await tx.checkpoints.store("place", 1)
            await tx.rows.read(customer(row), lock=True)

    async with hasty.transaction() as tx:
        await tx.rows.read(customer(row), lock=True)
        with pytest.raises(Busy):
            await late()
    async with hasty.transaction() as tx:
        assert await tx.checkpoints.load("place") is None
    await hasty.close()


async def test_a_statement_that_takes_too_long(hasty: PostgresCatalogue, sql: psycopg.Connection) -> None:
    """``Busy``: a trigger that hangs does not hang the sync."""
    sql.execute(
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';"
        "CREATE TRIGGER hang BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION hang()"
    )
    with pytest.raises(Busy):
        await works(hasty)
    sql.execute("DROP TRIGGER hang ON customers")
    await works(hasty)
    await hasty.close()


async def test_no_connection_is_free(hasty: PostgresCatalogue) -> None:
    """``Busy`` after a while; then it works."""
    async with hasty.transaction(), hasty.transaction():
        with pytest.raises(Busy):
            await works(hasty)
    await works(hasty)
    await hasty.close()


async def test_a_transaction_that_stands_still_is_ended(hasty: PostgresCatalogue, sql: psycopg.Connection) -> None:
    """Its locks come free; whoever held it is told ``Busy`` and can begin again."""
    row = await add(hasty, "ada@example.com")

    async def stand_still() -> None:
        async with hasty.transaction() as tx:
            await tx.rows.update(customer(row), {"name": "Grace"})
            await asyncio.to_thread(sql.execute, "UPDATE customers SET tier = 'gold'")  # waits for the lock
            await tx.rows.update(customer(row), {"name": "Hopper"})

    with pytest.raises(Busy):
        await stand_still()
    async with hasty.transaction() as tx:
        found = await tx.rows.read(customer(row))
    assert found is not None
    assert (found.values["name"], found.values["tier"]) == ("Ada", "gold")
    await hasty.close()


async def test_a_deadlock_ends_one_of_the_two(catalogue: PostgresCatalogue) -> None:
    """One is ``Busy``, the other goes through."""
    rows = [await add(catalogue, f"{number}@example.com") for number in range(2)]
    both = asyncio.Barrier(2)

    async def cross(first: int) -> None:
        async with catalogue.transaction() as tx:
            await tx.rows.read(customer(rows[first]), lock=True)
            await both.wait()
            await tx.rows.update(customer(rows[1 - first]), {"tier": f"by {first}"})

    results = await ended(asyncio.gather(cross(0), cross(1), return_exceptions=True))
    assert {type(each) for each in results} == {Busy, type(None)}


async def test_lost_connections(catalogue: PostgresCatalogue, sql: psycopg.Connection) -> None:
    """Those of the pool and the one in use: ``Busy`` at most, and then new ones are made."""
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'bothways' AND datname = current_database()"
    )

    async def cut_off() -> None:
        async with catalogue.transaction() as tx:
            await tx.rows.insert("customer", {"name": "Ada"})
            sql.execute(end)
            await tx.rows.insert("customer", {"name": "Grace"})

    for _ in range(3):
        with pytest.raises(Busy):
            await cut_off()
    async with catalogue.transaction(), catalogue.transaction() as tx:
        assert await tx.search.page("customer", None, 10) == []
    sql.execute(end)
    for attempt in range(10):  # each attempt may find one more dead connection in the pool
        try:
            await works(catalogue)
            break
        except Busy:
            assert attempt < 9


@pytest.mark.parametrize("seed", range(4))
async def test_cancelled_anywhere(catalogue: PostgresCatalogue, sql: psycopg.Connection, seed: int) -> None:
    """However many transactions are cancelled, at whatever step: each is whole or not there, no connection is lost."""
    chance = random.Random(seed)

    async def worker(number: int) -> None:
        async with catalogue.transaction() as tx:
            await tx.links.claim(RecordId("customer", f'{{"id":{number}}}'), "stripe")
            row = await tx.rows.insert("customer", {"name": f"{number}", "age": 1})
            await tx.rows.update(customer(row), {"age": 2})

    async def cancelled(number: int) -> None:
        task = asyncio.create_task(worker(number))
        await asyncio.wait({task}, timeout=chance.random() * 0.03)
        task.cancel()
        await asyncio.wait({task})

    for start in range(0, 60, 12):
        await ended(asyncio.gather(*(cancelled(number) for number in range(start, start + 12))))
    async with AsyncExitStack() as stack:
        for _ in range(LIMITS.connections):
            await ended(stack.enter_async_context(catalogue.transaction()))
    links = sql.execute("SELECT key::json ->> 'id' FROM bothways.link ORDER BY 1").fetchall()
    assert links == sql.execute("SELECT name FROM customers WHERE age = 2 ORDER BY 1").fetchall()
    assert sql.execute("SELECT FROM customers WHERE age = 1").fetchall() == []


async def test_an_error_that_was_not_passed_on(catalogue: PostgresCatalogue, sql: psycopg.Connection) -> None:
    """A transaction that the server has given up is never taken for a committed one."""

    async def swallow() -> None:
        async with catalogue.transaction() as tx:
            await tx.rows.insert("customer", {"name": "Ada"})
            sql.execute("ALTER TABLE invoices RENAME TO bills")
            with pytest.raises(MappingBroken):
                await tx.rows.read(RecordId("invoice", '{"id":1}'))

    async with catalogue.transaction() as tx:
        await tx.rows.read(RecordId("invoice", '{"id":1}'))
    with pytest.raises(Busy):
        await swallow()
    async with catalogue.transaction() as tx:
        assert await tx.search.page("customer", None, 10) == []


async def test_an_error_of_the_callers_own_stays_what_it_is(catalogue: PostgresCatalogue) -> None:
    """Also where an error of the database is behind it."""

    async def decide() -> None:
        async with catalogue.transaction() as tx:
            try:
                await tx.rows.insert("customer", {"name": None})
            except RowRefused as error:
                raise KeyError("decided otherwise") from error

    with pytest.raises(KeyError):
        await decide()


async def test_read_committed_whatever_the_database_says(prepared: str, sql: psycopg.Connection) -> None:
    """The isolation of the sync's transactions is set by the sync."""
    name = prepared.rpartition("/")[2]
    sql.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'".encode())
    catalogue = PostgresCatalogue(prepared, [CUSTOMERS, INVOICES])
    row = await add(catalogue, "ada@example.com")
    async with catalogue.transaction() as tx:
        await tx.rows.read(customer(row))
        sql.execute("UPDATE customers SET tier = 'gold'")
        after = await tx.rows.update(customer(row), {"name": "Grace"})
    assert after.values["tier"] == "gold"
    await catalogue.close()


@pytest.mark.parametrize("place", ["database", "server"])
async def test_a_database_that_is_not_there(postgres_server: str, place: str) -> None:
    """A wrong name is a fault of the settings; a server that does not answer may come back."""
    url = f"{postgres_server}/nowhere" if place == "database" else f"postgresql://127.0.0.1:{free_ports(1)[0]}/x"
    catalogue = PostgresCatalogue(url, [CUSTOMERS])
    with pytest.raises(SettingsError if place == "database" else Busy):
        await catalogue.open()
    await catalogue.close()


async def test_passwords_stay_out_of_errors(postgres_server: str) -> None:
    """Neither the message nor its causes show the URL's password."""
    url = f"postgresql://postgres:hunter2@127.0.0.1:{free_ports(1)[0]}/x"
    catalogue = PostgresCatalogue(url, [CUSTOMERS])
    with pytest.raises(Busy) as caught:
        await catalogue.open()
    told: Sequence[BaseException | None] = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert not any("hunter2" in f"{each!r} {each}" for each in told)
    assert "hunter2" not in repr(catalogue)
    await catalogue.close()


async def test_one_object_is_linked_once(catalogue: PostgresCatalogue) -> None:
    """Of two transactions that link it to different records, the later one is told to look again."""
    old, new = RecordId("customer", '{"id":1}'), RecordId("customer", '{"id":2}')
    async with catalogue.transaction() as tx:
        await tx.links.save(replace(await tx.links.claim(old, "stripe"), remote_id="cus_1"))
    with pytest.raises(Busy):
        async with catalogue.transaction() as tx:
            await tx.links.save(replace(await tx.links.claim(new, "stripe"), remote_id="cus_1"))
    async with catalogue.transaction() as tx:
        assert await tx.links.lock(new, "stripe") is None


async def test_saving_twice_in_any_order_moves_a_link(catalogue: PostgresCatalogue) -> None:
    """A link may be saved under its new key before it is removed from the old one."""
    old, new = RecordId("customer", '{"id":1}'), RecordId("customer", '{"id":2}')
    async with catalogue.transaction() as tx:
        link = replace(await tx.links.claim(old, "stripe"), remote_id="cus_1")
        await tx.links.save(link)
    async with catalogue.transaction() as tx:
        await tx.links.save(replace(link, record=new))
        await tx.links.remove(link)
    async with catalogue.transaction() as tx:
        assert await tx.links.lock(new, "stripe") == replace(link, record=new)


async def test_a_missing_table_is_no_setup(prepared: str, sql: psycopg.Connection) -> None:
    """The state's own tables gone: the mapping is broken, not the record."""
    catalogue = PostgresCatalogue(prepared, [CUSTOMERS])
    sql.execute("DROP TABLE bothways.seen")

    async def see() -> None:
        async with catalogue.transaction() as tx:
            await tx.journal.see("stripe", "evt_1")

    with pytest.raises(MappingBroken, match="seen"):
        await see()
    await catalogue.close()
