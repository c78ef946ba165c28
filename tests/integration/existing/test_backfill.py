"""`backfill`: killed, stopped, doubled and edited under way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bothways.cli import exits
from bothways.config import load
from bothways.flow.course import Phase
from bothways.flow.crew import Pacing
from bothways.wiring import existing
from bothways.wiring.parts import opened
from tests.integration.existing.shop import Shop, fill, opened_shop
from tests.servers.sandbox import SandboxProcess

SECONDS = 90
SOME = 12
ROWS = 120


def wait_until(seen: Callable[[], object], what: str) -> None:
    """Look until it is so."""
    end = time.monotonic() + SECONDS
    while not seen():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.05)


def rows(shop: Shop) -> int:
    """How many customers the database has."""
    return int(shop.sql("SELECT count(*) FROM customers")[0][0])


def course(shop: Shop, entity: str = "customer") -> Any:
    """What the checkpoint says."""
    found = shop.sql("SELECT value FROM bothways.checkpoint WHERE name = %s", f"backfill:stripe:{entity}")
    return json.loads(found[0][0]) if found else None


def flag_gap(shop: Shop) -> None:
    """Say that events were lost, now."""
    value = json.dumps({"from": 0, "found": time.time()})
    shop.sql(
        "INSERT INTO bothways.checkpoint VALUES ('gap:stripe', %s) ON CONFLICT (name) DO UPDATE SET value = %s",
        value,
        value,
    )


def gap(shop: Shop) -> bool:
    """Whether `status` says that events were lost."""
    return bool(shop.program("status", "--json").json()["polls"]["stripe"]["gap"])


def test_killed_twice_it_goes_on_where_it_was(tmp_path: Path, database: str, stripe_process: SandboxProcess) -> None:
    """SIGKILL among the objects and among the rows: nothing is made twice, and nothing is left out."""
    shop = opened_shop(tmp_path, database, stripe_process, rate=30)
    fill(shop)
    there, here = len(shop.customers()), rows(shop)
    plan = shop.program("plan", "customer", "--json").json()[0]
    with shop.program.running("backfill") as process:
        wait_until(lambda: rows(shop) > here + 10, "rows of what Stripe has")
        process.kill()
        process.wait()
    assert course(shop)["ended"] is None
    with shop.program.running("backfill") as process:
        wait_until(lambda: len(shop.customers()) > there + 10, "customers of what the database has")
        process.kill()
        process.wait()
    assert course(shop)["ended"] is None
    ended = shop.program("backfill", "--json")
    assert ended.code == 0, ended.err
    assert rows(shop) == here + plan["rows"]["create"]["count"]
    assert len(shop.customers()) == there + plan["objects"]["create"]["count"]
    shop.check_no_duplicates()
    again = shop.program("plan", "--json").json()
    assert [each["rows"]["create"]["count"] + each["rows"]["update"]["count"] for each in again] == [0, 0]
    assert [each["objects"]["create"]["count"] + each["objects"]["update"]["count"] for each in again] == [0, 0]


def test_two_at_once_are_harmless(shop: Shop) -> None:
    """Each object and row is dealt with once; what the other was quicker with is no dead letter."""
    fill(shop, SOME)
    plan, there, here = shop.program("plan", "customer", "--json").json()[0], len(shop.customers()), rows(shop)
    assert shop.program("setup").code == 0
    with shop.program.running("backfill") as one, shop.program.running("backfill") as other:
        assert (one.wait(SECONDS), other.wait(SECONDS)) == (0, 0)
    assert rows(shop) == here + plan["rows"]["create"]["count"]
    assert len(shop.customers()) == there + plan["objects"]["create"]["count"]
    shop.check_no_duplicates()
    ((letters,),) = shop.sql("SELECT count(*) FROM bothways.dead_letter WHERE entity = 'customer'")
    assert plan["dead_letters"] <= letters <= 2 * plan["dead_letters"]


def test_stopped_in_order_it_says_so_and_status_shows_where(
    tmp_path: Path, database: str, stripe_process: SandboxProcess
) -> None:
    """SIGTERM: what is under way ends, the exit code tells, and the same command brings it to its end."""
    shop = opened_shop(tmp_path, database, stripe_process, rate=60)
    for each in range(ROWS):
        shop.row(name=f"Row {each}", email=f"row{each}@x.example")
    with shop.program.running("backfill", "customer") as process:
        wait_until(lambda: len(shop.customers()) > 5, "the first customers")
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == exits.INTERRUPTED
    made = len(shop.customers())
    assert made < ROWS
    assert course(shop)["tally"]["objects_created"] == made
    assert shop.sql("SELECT count(*) FROM bothways.link WHERE due IS NOT NULL") == [(0,)]
    before = shop.program("status", "--json").json()["backfills"]
    assert [(each["entity"], each["phase"]) for each in before] == [("customer", "rows"), ("product", "never")]
    ended = shop.program("backfill", "--json").json()
    assert ended[0]["tally"]["objects_created"] == len(shop.customers()) == ROWS
    shown = shop.program("status").out
    assert "done" in shown
    done_before = shop.program("backfill")
    assert "was done already, at 20" in done_before.out
    assert "--again compares anew" in done_before.out


def test_edited_on_both_sides_while_it_runs(tmp_path: Path, database: str, stripe_process: SandboxProcess) -> None:
    """Beside `up`, with edits before and during it: both sides end the same, with the newest values, nothing twice."""
    shop = opened_shop(tmp_path, database, stripe_process, rate=150)
    fill(shop, SOME)
    there, plan = len(shop.customers()), shop.program("plan", "--json").json()[0]
    with shop.program.running("up"):
        wait_until(lambda: slot_is_read(shop), "the capture")
        shop.sql("UPDATE customers SET name = 'Edited before' WHERE email = 'same1@x.example'")
        with shop.program.running("backfill") as backfill:
            edits = 0
            while backfill.poll() is None:
                shop.sql(
                    "UPDATE customers SET name = %s WHERE email = %s", f"Row {edits}", f"same{edits % SOME}@x.example"
                )
                edit_there(shop, f"named{edits % SOME}@x.example", phone=f"+{100 + edits}")
                edits += 1
                with contextlib.suppress(subprocess.TimeoutExpired):
                    backfill.wait(0.05)
            assert backfill.returncode == 0
        shop.customer(name="Came late", email="late@x.example")
        shop.row(name="Last", email="last@here.example")
        last = shop.sql("SELECT email, name FROM customers WHERE email LIKE 'same%%@x.example'")
        wait_until(lambda: agree(shop, dict(last)), "agreement on names")
        phones = {str(each["id"]): each["phone"] for each in shop.customers()}
        wait_until(lambda: have_phones(shop, phones), "agreement on phones")
        wait_until(lambda: shop.sql("SELECT id FROM customers WHERE email = 'late@x.example'"), "the late customer")
        wait_until(lambda: any(each["email"] == "last@here.example" for each in shop.customers()), "the last row")
    assert edits > 5
    assert len(shop.customers()) == there + plan["objects"]["create"]["count"] + 2
    shop.check_no_duplicates()


def slot_is_read(shop: Shop) -> bool:
    """Whether the capture has begun."""
    query = "SELECT active FROM pg_replication_slots WHERE database = current_database()"
    return shop.sql(query) == [(True,)]


def edit_there(shop: Shop, email: str, **fields: object) -> None:
    """Change the customer of that e-mail which a row names."""
    ((remote_id,),) = shop.sql("SELECT stripe_customer_id FROM customers WHERE email = %s AND name ~ 'Named'", email)
    shop.stripe.admin.edit("customer", remote_id, **fields)


def agree(shop: Shop, names: dict[str, str]) -> bool:
    """Whether Stripe shows these names."""
    there = {str(each["email"]): each["name"] for each in shop.customers()}
    return all(there.get(email) == name for email, name in names.items())


def have_phones(shop: Shop, phones: dict[str, object]) -> bool:
    """Whether the rows that named a customer from the beginning show Stripe's phones."""
    found = shop.sql(
        "SELECT stripe_customer_id, phone FROM customers WHERE email LIKE 'named%%@x.example' AND id <= 1 + %s", SOME
    )
    return len(found) == SOME and all(phones.get(remote_id) == phone for remote_id, phone in found)


async def test_a_customer_made_after_the_scan_is_found_by_its_row(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows' phase makes no second customer, and asks for no list per row."""
    monkeypatch.setenv("DATABASE_URL", shop.program.database)
    for each in range(30):
        shop.row(name=f"Row {each}", email=f"row{each}@x.example")
    async with opened(load(shop.program.folder / "bothways.toml")) as parts:
        work = await existing.prepared(parts, "customer", None)
        work.crew.pacing = Pacing(rows=1, rows_per_page=4, fresh=0.0)
        task = asyncio.create_task(work.run())
        while work.progress.phase is not Phase.ROWS or work.progress.seen < 2:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        made = await asyncio.to_thread(shop.customer, name="Row 29 there", email="row29@x.example")
        ended = await task
    assert len(shop.customers()) == 30
    assert shop.sql("SELECT stripe_customer_id FROM customers WHERE email = 'row29@x.example'") == [(made,)]
    assert ended["customer", "stripe"].tally.linked == 1


def test_lists_are_not_asked_per_row(shop: Shop) -> None:
    """One call for a hundred objects, one for each create, and one each two seconds for what is new."""
    for each in range(120):
        shop.row(name=f"Row {each}", email=f"row{each}@x.example")
        shop.customer(name=f"Row {each + 60}", email=f"row{each + 60}@x.example")
    begun = time.monotonic()
    tally = shop.program("backfill", "customer", "--json").json()[0]["tally"]
    seconds = time.monotonic() - begun
    assert (tally["linked"], tally["rows_created"], tally["objects_created"]) == (60, 60, 60)
    assert tally["calls"] <= 60 + 2 + seconds / 2 + 1


def test_lost_events_ask_for_a_new_backfill_which_clears_the_flag(shop: Shop) -> None:
    """Unasked it begins anew; what was changed meanwhile is found; of a part of the entities it is not enough."""
    remote_id = shop.customer(name="Ada", email="ada@x.example")
    assert shop.program("backfill").code == 0
    flag_gap(shop)
    assert gap(shop)
    shop.stripe.admin.edit("customer", remote_id, name="Eve")  # its event is never delivered
    assert shop.program("backfill", "customer").code == 0
    assert shop.sql("SELECT name FROM customers") == [("Eve",)]
    assert gap(shop)
    assert shop.program("backfill").code == 0
    assert not gap(shop)


def test_an_object_that_is_gone_deletes_nothing_and_keeps_the_flag(shop: Shop) -> None:
    """A backfill does not delete, even a row that was edited: the summary tells, and lost events are still missing."""
    remote_id = shop.customer(name="Ada", email="ada@x.example")
    assert shop.program("backfill").code == 0
    shop.sql("UPDATE customers SET name = 'Eve'")
    shop.stripe.admin.delete("customer", remote_id)
    flag_gap(shop)
    ended = shop.program("backfill")
    assert "1 linked rows have no object any more" in ended.out
    assert shop.sql("SELECT name, stripe_customer_id FROM customers") == [("Eve", remote_id)]
    assert shop.customers() == []
    assert gap(shop)


def test_what_we_made_is_known_by_our_mark(shop: Shop) -> None:
    """The state comes from an older copy: the record that we made since is adopted, though nothing else matches."""
    shop.sql("INSERT INTO products VALUES ('p1', 'Lamp')")
    assert shop.program("backfill").code == 0
    shop.sql("UPDATE bothways.link SET remote_id = NULL, document = '{}'")
    shop.sql("UPDATE products SET name = 'Desk lamp'")
    plan = shop.program("plan", "product", "--json").json()[0]
    assert {rule: each["count"] for rule, each in plan["links"].items()} == {"mark": 1}
    done = shop.program("backfill", "product", "--again", "--json").json()[0]["tally"]
    assert (done["linked"], done["rows_created"], done["objects_created"]) == (1, 0, 0)
    (product,) = shop.stripe.admin.objects("product")
    assert product["name"] == "Desk lamp"


def test_names_and_keys_that_cannot_be_are_told(shop: Shop) -> None:
    """As errors of usage, with what was meant."""
    unknown = shop.program("backfill", "custmer")
    assert unknown.code == exits.USAGE
    assert 'did you mean "customer"?' in unknown.err
    settings = shop.program.folder / "bothways.toml"
    settings.write_text(settings.read_text().replace("sk_test_sandbox", "sk_test_"))
    assert shop.program("plan").code == exits.USAGE
