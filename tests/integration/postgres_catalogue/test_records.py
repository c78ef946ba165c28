"""The user's records as whole rows, as the HTTP API and the command line use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.records import PostgresRecords
from bothways.model.errors import NoSuchRecord, NotUnique, RowRefused, UnknownEntity
from bothways.sync.mapping import TableMap
from tests.integration.postgres_catalogue.conftest import CUSTOMERS, INVOICES, LIMITS, run
from tests.suites.catalogue import ended, still_waits

LINES = TableMap("line", "lines", "lines", frozenset({"price"}))


class Time:
    """A clock that stands until it is set."""

    seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Time:
    """The catalogue's clock."""
    return Time()


@pytest.fixture
async def records(prepared: str, clock: Time) -> AsyncIterator[PostgresRecords]:
    """Records of a catalogue with customers, invoices and lines with a compound key."""
    run(prepared, "CREATE TABLE lines (invoice int, code text, price numeric(8,2), PRIMARY KEY (invoice, code))")
    catalogue = PostgresCatalogue(prepared, [CUSTOMERS, INVOICES, LINES], now=clock, limits=LIMITS)
    yield PostgresRecords(catalogue)
    await catalogue.close()


async def test_a_record_from_its_beginning_to_its_end(records: PostgresRecords, sql: psycopg.Connection) -> None:
    """Created, read, changed, deleted; all columns are shown and can be written."""
    made = await records.write("customer", None, {"name": "Ada", "secret": "s", "age": 36})
    assert made.row == {
        "id": 1,
        "name": "Ada",
        "email": None,
        "tier": "basic",
        "age": 36,
        "guest": False,
        "secret": "s",
    }
    assert not made.repeated
    assert await records.get("customer", "1") == made.row
    changed = await records.write("customer", "1", {"secret": None})
    assert changed.row == {**made.row, "secret": None}
    assert len({made.token, changed.token, await records.delete("customer", "1")}) == 3
    with pytest.raises(NoSuchRecord):
        await records.get("customer", "1")
    assert sql.execute("SELECT count(*) FROM customers").fetchone() == (0,)


@pytest.mark.parametrize("key", ["2", "x", "", "1,2", "99999999999999999999", "1.5", "a\0b", "\ud800"])
async def test_a_key_that_is_no_record(records: PostgresRecords, key: str) -> None:
    """Whatever people write as a key: there is no such record, and nothing worse."""
    await records.write("customer", None, {"name": "Ada"})
    with pytest.raises(NoSuchRecord):
        await records.get("customer", key)
    with pytest.raises(NoSuchRecord):
        await records.write("customer", key, {"name": "x"})
    with pytest.raises(NoSuchRecord):
        await records.delete("customer", key)


async def test_compound_keys_are_written_with_commas(records: PostgresRecords) -> None:
    """In the key's order; a value with a comma in it stands in quotation marks."""
    await records.write("line", None, {"invoice": 7, "code": "a,b", "price": "2"})
    row = await records.get("line", '7,"a,b"')
    assert row == {"invoice": 7, "code": "a,b", "price": "2.00"}
    assert (await records.write("line", '7,"a,b"', {"code": "c"})).row["code"] == "c"
    for key in ["7", "7,c,d", "c,7", '7,"']:
        with pytest.raises(NoSuchRecord):
            await records.get("line", key)


async def test_what_is_refused(records: PostgresRecords) -> None:
    """Unknown columns and entities, what breaks a constraint; with the field."""
    with pytest.raises(RowRefused) as caught:
        await records.write("customer", None, {"name": "Ada", "colour": "red"})
    assert caught.value.field == "colour"
    with pytest.raises(RowRefused) as caught:
        await records.write("customer", None, {"age": 1})
    assert caught.value.field == "name"
    await records.write("customer", None, {"name": "Ada", "email": "a@b"})
    with pytest.raises(NotUnique):
        await records.write("customer", None, {"name": "Eve", "email": "a@b"})
    with pytest.raises(UnknownEntity):
        await records.get("planet", "1")
    with pytest.raises(RowRefused):
        await records.write("invoice", None, {"customer_id": 99})


async def test_pages_show_each_record_once(records: PostgresRecords) -> None:
    """Also while others write and delete; the last page has no cursor."""
    for number in range(7):
        await records.write("line", None, {"invoice": number // 3, "code": f"c{number}", "price": number})
    first = await records.list("line", 3, None)
    assert [row["code"] for row in first.rows] == ["c0", "c1", "c2"]
    await records.delete("line", "0,c2")
    await records.write("line", None, {"invoice": 0, "code": "b", "price": 0})
    second = await records.list("line", 3, first.next_cursor)
    assert [row["code"] for row in second.rows] == ["c3", "c4", "c5"]
    third = await records.list("line", 3, second.next_cursor)
    assert [row["code"] for row in third.rows] == ["c6"]
    assert third.next_cursor is None
    exact = await records.list("line", 7, None)
    assert (len(exact.rows), exact.next_cursor) == (7, None)


@pytest.mark.parametrize("cursor", ["x", "", "eyJpZCI6MX0", "W10", "bm8", "ä", "eyJpbnZvaWNlIjoieCIsImNvZGUiOiIifQ"])
async def test_a_cursor_that_is_none(records: PostgresRecords, cursor: str) -> None:
    """Is refused, whatever it holds."""
    with pytest.raises(RowRefused):
        await records.list("line", 3, cursor)


async def test_an_idempotency_key_repeats_the_answer(records: PostgresRecords, sql: psycopg.Connection) -> None:
    """The row as it was then, and the token; nothing is written again."""
    first = await records.write("customer", None, {"name": "Ada", "age": 1}, idempotency_key="k")
    await records.write("customer", "1", {"name": "Grace"})
    second = await records.write("customer", None, {"age": 1, "name": "Ada"}, idempotency_key="k")
    assert second.repeated
    assert (second.row, second.token) == (first.row, first.token)
    assert sql.execute("SELECT count(*), min(name) FROM customers").fetchone() == (1, "Grace")


async def test_an_idempotency_key_of_another_request(records: PostgresRecords) -> None:
    """Another body, entity or record under the same key is refused."""
    await records.write("customer", None, {"name": "Ada"}, idempotency_key="k")
    for key, values in [(None, {"name": "Eve"}), ("1", {"name": "Ada"})]:
        with pytest.raises(RowRefused, match="idempotency"):
            await records.write("customer", key, values, idempotency_key="k")


async def test_a_failed_request_keeps_no_key(records: PostgresRecords) -> None:
    """It can be mended and sent again under the same key."""
    with pytest.raises(RowRefused):
        await records.write("customer", None, {"age": 1}, idempotency_key="k")
    assert not (await records.write("customer", None, {"name": "Ada"}, idempotency_key="k")).repeated


async def test_an_idempotency_key_is_forgotten_after_a_day(records: PostgresRecords, clock: Time) -> None:
    """Then it is a new request."""
    await records.write("customer", None, {"name": "Ada"}, idempotency_key="k")
    clock.seconds += 24 * 3600 + 1
    assert not (await records.write("customer", None, {"name": "Eve"}, idempotency_key="k")).repeated


async def test_two_requests_with_one_key_at_once(records: PostgresRecords, sql: psycopg.Connection) -> None:
    """The second waits for the first, and gets its answer."""
    sql.execute("BEGIN; LOCK customers")
    both = [
        asyncio.create_task(records.write("customer", None, {"name": "Ada"}, idempotency_key="k")) for _ in range(2)
    ]
    assert await still_waits(both[0])
    assert await still_waits(both[1])
    sql.execute("COMMIT")
    answers = [await ended(each) for each in both]
    assert sorted(each.repeated for each in answers) == [False, True]
    assert answers[0].row == answers[1].row
    assert sql.execute("SELECT count(*) FROM customers").fetchone() == (1,)


async def test_what_the_database_generates_is_not_for_people(prepared: str) -> None:
    """Writing such a column is refused by name, and not left out in silence."""
    run(prepared, "CREATE TABLE things (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text)")
    catalogue = PostgresCatalogue(prepared, [TableMap("thing", "things", "things", frozenset({"a"}))])
    records = PostgresRecords(catalogue)
    with pytest.raises(RowRefused) as caught:
        await records.write("thing", None, {"id": 7, "a": "x"})
    assert caught.value.field == "id"
    assert (await records.write("thing", None, {})).row == {"id": 1, "a": None}
    await catalogue.close()


async def test_the_token_names_the_transaction(records: PostgresRecords, sql: psycopg.Connection, slot: str) -> None:
    """The commit that capture sees lies after the token's place, and is of its transaction."""
    written = await records.write("customer", None, {"name": "Ada"})
    place, number = map(int, written.token.split("-"))
    found = sql.execute(
        "SELECT lsn - '0/0', xid::text::bigint FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL,"
        " 'proto_version', '1', 'publication_names', %s) WHERE get_byte(data, 0) = ascii('C')",
        [slot, slot],
    ).fetchall()
    assert [xid for lsn, xid in found if lsn > place] == [number]
