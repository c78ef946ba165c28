"""Calls that go wrong: slow answers, lost answers, forgotten keys, failures that Stripe repeats.

The last tests move the sandbox's clock, which nothing can move back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.installation import Installation, Json

DAY = 24 * 3600


@pytest.fixture(autouse=True)
def _without_faults(shop: Installation) -> Iterator[None]:
    yield
    shop.stripe.admin.end_faults()


def test_the_webhook_comes_before_the_answer(shop: Installation) -> None:
    """The event of our own creation is dealt with when the call has ended: no second row, no second customer."""
    shop.stripe.admin.fault("slow_answer", method="POST", seconds=1.5)
    keys = [shop.add(name=f"slow {n}", email=f"slow{n}@example.org") for n in range(5)]
    shop.until(lambda: all(shop.customer_of(key) for key in keys), "all rows have their customers")
    shop.sql("UPDATE customers SET name = 'slow again' WHERE id = ANY(%s)", keys)
    shop.wait_equal()
    assert len(with_email(shop, "slow")) == len(shop.sql("SELECT 1 FROM customers WHERE email LIKE %s", "slow%")) == 5


@pytest.mark.parametrize("fault", ["error_before", "error_after"])
def test_a_failure_that_stripe_stores(shop: Installation, fault: str) -> None:
    """Of a creation and of an update, with the effect or without it: the record goes on, once."""
    shop.stripe.admin.fault(fault, method="POST", contains=f"{fault}.made", times=1)
    shop.stripe.admin.fault(fault, method="POST", contains=f"{fault}.changed", times=1)
    key, remote_id = shop.add_linked(name=f"{fault}.made", email=f"{fault}@example.org")
    shop.sql("UPDATE customers SET name = %s WHERE id = %s", f"{fault}.changed", key)
    shop.until(lambda: (shop.customer(remote_id) or {})["name"] == f"{fault}.changed", "the update at Stripe")
    shop.sql("UPDATE customers SET name = 'done' WHERE id = %s", key)
    shop.wait_equal()
    assert [each["name"] for each in with_email(shop, fault)] == ["done"]
    assert [rule["happened"] for rule in shop.stripe.admin.state()["faults"]] == [1, 1]


def test_all_kinds_of_trouble_at_once(shop: Installation) -> None:
    """One call in three goes wrong in some way, under edits from both sides: equal in the end, nobody is doubled."""
    admin = shop.stripe.admin
    for fault in (
        "rate_limit",
        "lock_timeout",
        "unavailable",
        "error_before",
        "error_after",
        "drop_before",
        "drop_after",
    ):
        admin.fault(fault, probability=0.05, method="POST", path="/v1/customers*")
    admin.fault("slow_answer", probability=0.1, method="POST", seconds=0.3)
    for fault in ("late", "doubled", "reordered", "dropped"):
        admin.fault(fault, probability=0.1, seconds=0.5)
    keys = [shop.add(name=f"trouble {n}", email=f"trouble{n}@example.org") for n in range(30)]
    end = time.monotonic() + 3
    turn = 0
    while time.monotonic() < end:
        turn += 1
        shop.sql("UPDATE customers SET city = %s WHERE id = %s", f"city {turn}", keys[turn % len(keys)])
        known = with_email(shop, "trouble")
        if known:
            admin.edit("customer", known[turn * 7 % len(known)]["id"], phone=f"phone {turn}")
    admin.end_faults()
    shop.wait_equal(seconds=90)
    assert len(with_email(shop, "trouble")) == 30
    assert shop.letters() == []


@pytest.mark.parametrize("forgotten", [False, True], ids=["remembered", "forgotten"])
def test_the_answer_is_lost_then_a_crash(shop: Installation, forgotten: bool) -> None:
    """After the effect; then the process is killed; then, a day later, Stripe has forgotten the key: one customer."""
    name = f"lost{int(forgotten)}"
    shop.stripe.admin.fault("drop_after", method="POST", path="/v1/customers", contains=name)
    keys = [shop.add(name=f"{name} {n}", email=f"{name}.{n}@example.org") for n in range(3)]
    shop.until(lambda: len(with_email(shop, name)) == 3, "Stripe has them")
    shop.kill("up")
    shop.stripe.admin.end_faults()
    if forgotten:
        shop.stripe.admin.forget_keys()
        a_day_passes(shop)
    shop.sql("UPDATE customers SET city = 'after' WHERE id = ANY(%s)", keys)
    shop.start()
    shop.wait_ready()
    shop.until(lambda: all(shop.customer_of(key) for key in keys), "all rows have their customers")
    shop.wait_equal()
    assert len(with_email(shop, name)) == 3


def test_an_update_whose_answer_is_lost_with_its_key(shop: Installation) -> None:
    """The edit that somebody made by hand on top of it, a day later, is not overwritten by repeating it."""
    key, remote_id = shop.add_linked(name="first", email="update@example.org")
    shop.wait_equal()
    shop.stripe.admin.fault("drop_after", method="POST", path=f"/v1/customers/{remote_id}")
    shop.sql("UPDATE customers SET name = 'ours' WHERE id = %s", key)
    shop.until(lambda: (shop.customer(remote_id) or {})["name"] == "ours", "Stripe has it")
    shop.kill("up")
    shop.stripe.admin.end_faults()
    shop.stripe.admin.forget_keys()
    a_day_passes(shop)
    shop.stripe.admin.edit("customer", remote_id, name="by hand, later")
    shop.start()
    shop.wait_ready()
    shop.wait_equal()
    assert (shop.row(remote_id) or {})["name"] == "by hand, later"


def with_email(shop: Installation, start: str) -> list[Json]:
    """Stripe's customers whose address begins so."""
    return [each for each in shop.customers() if (each["email"] or "").startswith(start)]


def a_day_passes(shop: Installation) -> None:
    """For what is under way: the sandbox's clock can be moved, ours cannot, so what it wrote down is made older."""
    shop.stripe.admin.advance(DAY + 60)
    links = "SELECT system, entity, key, document FROM bothways.link WHERE due IS NOT NULL"
    for link in shop.sql(links):
        document = json.loads(link["document"])
        document["attempt"]["at"] -= DAY + 60
        change = "UPDATE bothways.link SET document = %s, due = 0 WHERE system = %s AND entity = %s AND key = %s"
        shop.sql(change, json.dumps(document), link["system"], link["entity"], link["key"])
