"""`status`, `deadletters`, `conflicts`, `tail`: how things stand."""

from __future__ import annotations

import asyncio
import json

import psycopg
import pytest

from bothways.cli import exits
from bothways.eventlog.codec import ORIGIN
from bothways.eventlog.sqlite import SqliteLog
from bothways.ports import Message
from tests.integration.cli.program import Program

LETTER = """
INSERT INTO bothways.dead_letter (at, direction, system, entity, key, field, reason, hint, payload, change)
VALUES (1700000000, 'out', 'stripe', 'customer', '{"id":7}', 'email', 'Invalid email address', 'put it right', '{}', '')
RETURNING id
"""
CONFLICT = """
INSERT INTO bothways.conflict (at, entity, key, system, "column", row_value, remote_value, winner, found_in)
VALUES (1700000000, 'customer', '{"id":7}', 'stripe', 'name', '"Ada"', '["Eve"]', 'database', 'event')
"""


@pytest.fixture
def letter(ready: Program) -> str:
    """The number of a dead letter."""
    with psycopg.connect(ready.database, autocommit=True) as connection:
        found = connection.execute(LETTER).fetchone()
        assert found is not None
        return str(found[0])


def test_status_before_anything_has_happened(ready: Program) -> None:
    """Everything is there and nothing waits; for people and for programs."""
    found = ready("status", "--json").json()
    assert found["waiting"] == {"bothways.customer": 0, "bothways.stripe.customer": 0}
    assert (found["counts"]["dead_letters"], found["counts"]["parked"], found["counts"]["pairs"]) == (0, 0, [])
    assert found["polls"]["stripe"]["gap"] is False
    assert (found["slot"]["active"], found["slot"]["wal_status"]) == (False, "reserved")
    shown = ready("status")
    assert shown.code == exits.OK
    assert "There are no links yet." in shown.out
    assert "bothways.stripe.customer" in shown.out
    assert "nobody reads it" in shown.out


def test_dead_letters_can_be_looked_at(ready: Program, letter: str) -> None:
    """The list says which record, which field and why; one of them says all."""
    listed = ready("deadletters", "list").out
    assert 'customer {"id":7} email' in listed
    assert "Invalid email address" in listed
    assert [each["id"] for each in ready("deadletters", "list", "--json").json()] == [int(letter)]
    assert ready("deadletters", "list", "--system", "other", "--json").json() == []
    assert "put it right" in ready("deadletters", "show", letter).out
    assert ready("deadletters", "show", letter, "--json").json()["hint"] == "put it right"
    assert ready("status", "--json").json()["counts"]["dead_letters"] == 1


def test_dead_letters_can_be_replayed_and_dropped(ready: Program, letter: str) -> None:
    """Numbers that are none are said, with an exit code of their own."""
    assert ready("deadletters", "replay", letter).code == exits.OK
    assert ready("deadletters", "show", letter, "--json").json()["replay"] is True
    assert ready("deadletters", "drop", letter, "999999").code == exits.MISSING
    assert ready("deadletters", "list").out == "There are no dead letters.\n"
    assert ready("deadletters", "show", letter).code == exits.MISSING


def test_all_dead_letters_can_be_dropped(ready: Program, letter: str) -> None:
    """After a question, unless --yes; numbers and --all together, and neither, mean nothing."""
    assert "`deadletters replay ID` tries again, `drop ID` forgets it" in ready("deadletters", "list").out
    assert ready("deadletters", "drop", letter, "--all").code == exits.USAGE
    assert ready("deadletters", "drop").code == exits.USAGE
    asked = ready("deadletters", "drop", "--all", stdin="n\n")
    assert (asked.code, "all 1 dead letters" in asked.err) == (exits.FAILED, True)
    assert len(ready("deadletters", "list", "--json").json()) == 1
    assert ready("deadletters", "drop", "--all", "--yes").out == "1 dropped.\n"
    assert ready("deadletters", "drop", "--all", "--json").json() == {"asked": 0, "found": 0}


def test_conflicts_can_be_looked_at(ready: Program) -> None:
    """Which record and column, what either side had, and who won."""
    assert ready("conflicts", "list").out == "There are no conflicts.\n"
    with psycopg.connect(ready.database, autocommit=True) as connection:
        connection.execute(CONFLICT)
    assert 'customer {"id":7} name' in ready("conflicts", "list").out
    (found,) = ready("conflicts", "list", "--json").json()
    assert (found["row_value"], found["remote_value"], found["winner"]) == ("Ada", ["Eve"], "database")
    assert ready("conflicts", "show", str(found["id"]), "--json").json() == found
    assert '["Eve"]' in ready("conflicts", "show", str(found["id"])).out
    assert ready("conflicts", "show", "999999").code == exits.MISSING


def append(program: Program, *messages: Message) -> None:
    """Put messages on the program's log."""

    async def work() -> None:
        log = SqliteLog(program.folder / ".bothways" / "log.db")
        await log.append(messages)
        await log.close()

    asyncio.run(work())


def test_tail_shows_changes_and_events(ready: Program) -> None:
    """What happened to which record, from where, and the values that it brought."""
    change = {"op": "u", "source": {}, "before": None, "after": {"id": 7, "name": "Ada"}}
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "customer.updated",
        "data": {"object": {"id": "cus_1", "name": "Eve", "phone": None}, "previous_attributes": {"name": "Ada"}},
    }
    append(
        ready,
        Message("bothways.customer", b'{"id":7}', json.dumps(change).encode(), ((ORIGIN, b"stripe"),)),
        Message("bothways.stripe.customer", b"cus_1", json.dumps(event).encode()),
        Message("bothways.customer", b'{"id":7}', None),
        Message("bothways.customer", b"odd", b"\xff"),
    )
    shown = ready("tail", "--from-start", "--limit", "4").out
    assert 'bothways.customer updated {"id":7} (from stripe) id=7 name=Ada' in shown
    assert "bothways.stripe.customer customer.updated cus_1 name=Eve" in shown
    assert "tombstone" in shown
    found = ready("tail", "bothways.stripe.customer", "--from-start", "--limit", "1", "--json").json()
    assert found["value"]["id"] == "evt_1"
    unknown = ready("tail", "custmer")
    assert unknown.code == exits.USAGE
    assert 'did you mean "customer"?' in unknown.err
