"""What is deleted stays deleted; what only looks deleted is not."""

from __future__ import annotations

import json
import time

import httpx
import psycopg

from bothways.sandbox.stripe.webhooks import sign
from tests.acceptance import topics
from tests.acceptance.installation import Installation, Json


def test_deleted_at_stripe_then_late_and_repeated_updates(shop: Installation) -> None:
    """Old webhooks, delivered again and in any order, do not bring the row back; no new customer is made."""
    key, remote_id = shop.add_linked(name="first", email="gone@example.org")
    shop.sql("UPDATE customers SET name = 'second' WHERE id = %s", key)
    shop.until(lambda: (shop.customer(remote_id) or {}).get("name") == "second", "the update at Stripe")
    shop.stripe.admin.edit("customer", remote_id, name="third")
    shop.until(lambda: (shop.row(remote_id) or {}).get("name") == "third", "the edit in the row")
    shop.stripe.admin.delete("customer", remote_id)
    shop.until(lambda: shop.row(remote_id) is None, "the row is deleted")
    before = shop.wait_quiet()
    history = events_of(shop, remote_id)
    assert [each["type"] for each in history][::-1] == [
        "customer.created",
        "customer.updated",
        "customer.updated",
        "customer.deleted",
    ]
    for event in (*history, *history[::-1]):
        deliver_again(shop, event)
        deliver_again(shop, {**event, "id": event["id"] + "again"})  # sometimes two events describe one change
    assert shop.wait_quiet() == before
    assert shop.sql("SELECT 1 FROM customers WHERE id = %s", key) == []
    assert [each for each in shop.customers() if each["email"] == "gone@example.org"] == []


def test_a_deleted_row_is_not_brought_back(shop: Installation) -> None:
    """An edit by hand, made before the deletion, whose webhook comes after it."""
    key, remote_id = shop.add_linked(name="first", email="late@example.org")
    shop.wait_equal()
    shop.stripe.admin.fault("late", seconds=1.5, type="customer.updated", contains=remote_id)
    shop.stripe.admin.edit("customer", remote_id, name="too late")
    shop.sql("DELETE FROM customers WHERE id = %s", key)
    shop.until(lambda: shop.customer(remote_id) is None, "the deletion at Stripe")
    shop.stripe.admin.quiet()
    shop.stripe.admin.end_faults()
    for event in events_of(shop, remote_id):
        deliver_again(shop, event)
    shop.wait_quiet()
    assert shop.sql("SELECT 1 FROM customers WHERE email = %s", "late@example.org") == []
    assert [each for each in shop.customers() if each["email"] == "late@example.org"] == []
    revived = shop.add(name="new", email="late@example.org")
    again = shop.until(lambda: shop.customer_of(revived), "a new row gets a new customer")
    assert again != remote_id


def test_deletions_that_overtake_updates(shop: Installation) -> None:
    """Webhooks in the wrong order, doubled: what was deleted at Stripe is deleted here, the others are as there."""
    pairs = [shop.add_linked(name=f"r{n}", email=f"reorder{n}@example.org") for n in range(10)]
    shop.stripe.admin.fault("reordered", probability=0.5, seconds=0.5)
    shop.stripe.admin.fault("doubled", probability=0.5)
    for turn in range(4):
        for _, remote_id in pairs:
            shop.stripe.admin.edit("customer", remote_id, name=f"r {turn}")
    for _, remote_id in pairs[::2]:
        shop.stripe.admin.delete("customer", remote_id)
    shop.stripe.admin.quiet()
    shop.stripe.admin.end_faults()
    shop.wait_equal()
    left = shop.sql("SELECT id, name FROM customers WHERE email LIKE %s ORDER BY id", "reorder%")
    assert left == [{"id": key, "name": "r 3"} for key, _ in pairs[1::2]]


def test_a_row_that_is_replaced_keeps_its_customer(shop: Installation) -> None:
    """DELETE and INSERT of one key in a transaction, as REPLACE does it: an update."""
    key, remote_id = shop.add_linked(name="old", email="replaced@example.org", city="here")
    for turn in range(5):
        with psycopg.connect(shop.database) as connection:
            connection.execute("DELETE FROM customers WHERE id = %s", [key])
            values = [key, f"new {turn}", "replaced@example.org", remote_id]
            connection.execute(
                "INSERT INTO customers (id, name, email, stripe_customer_id) VALUES (%s, %s, %s, %s)", values
            )
    shop.until(lambda: (shop.customer(remote_id) or {}).get("name") == "new 4", "the update at Stripe")
    shop.wait_equal()
    with psycopg.connect(shop.database) as connection:  # and by an application that does not know of the id
        connection.execute("DELETE FROM customers WHERE id = %s", [key])
        values = [key, "newest", "replaced@example.org"]
        connection.execute("INSERT INTO customers (id, name, email) VALUES (%s, %s, %s)", values)
    shop.until(lambda: (shop.customer(remote_id) or {}).get("name") == "newest", "the update at Stripe")
    shop.wait_equal()
    assert shop.customer_of(key) == remote_id


def test_a_changed_primary_key_keeps_its_customer(shop: Installation) -> None:
    """Also when the row changes in the same statement, and when the key changes again at once."""
    key, remote_id = shop.add_linked(name="old", email="moved@example.org")
    shop.sql("UPDATE customers SET id = 1000001, name = 'moved' WHERE id = %s", key)
    shop.sql("UPDATE customers SET id = 1000002, city = 'moved' WHERE id = 1000001")
    shop.until(lambda: ((shop.customer(remote_id) or {}).get("address") or {}).get("city"), "the update at Stripe")
    shop.wait_equal()
    assert shop.customer_of(1000002) == remote_id
    shop.stripe.admin.edit("customer", remote_id, name="by hand")
    shop.until(lambda: (shop.row(remote_id) or {}).get("name") == "by hand", "the edit in the row")
    shop.sql("DELETE FROM customers WHERE id = 1000002")
    shop.until(lambda: shop.customer(remote_id) is None, "the deletion at Stripe")


def test_a_deletion_that_a_foreign_key_forbids(shop: Installation) -> None:
    """The row stays, with a dead letter that says so; nothing is cascaded, nothing is made anew at Stripe."""
    shop.sql("CREATE TABLE orders (id int PRIMARY KEY, customer bigint REFERENCES customers (id))")
    key, remote_id = shop.add_linked(name="kept", email="kept@example.org")
    shop.sql("INSERT INTO orders VALUES (1, %s)", key)
    shop.wait_equal()
    shop.stripe.admin.delete("customer", remote_id)
    (letter,) = shop.until(shop.letters, "a dead letter")
    assert (letter["direction"], letter["entity"], letter["key"]) == ("in", "customer", f'{{"id":{key}}}')
    assert "orders" in letter["reason"]
    assert letter["hint"]
    before = shop.wait_quiet()
    assert shop.sql("SELECT name FROM customers WHERE id = %s", key) == [{"name": "kept"}]
    assert shop.sql("SELECT count(*) AS n FROM orders") == [{"n": 1}]
    shop.sql("UPDATE customers SET name = 'still here' WHERE id = %s", key)
    assert shop.wait_quiet() == before
    shop.sql("DELETE FROM orders")
    assert shop.run("deadletters", "replay", str(letter["id"])).returncode == 0
    shop.until(lambda: shop.sql("SELECT 1 FROM customers WHERE id = %s", key) == [], "the row is deleted, too")
    assert shop.letters() == []


def test_truncate_is_published_and_goes_no_further(shop: Installation) -> None:
    """Stripe keeps its customers; what is inserted afterwards goes on as always."""
    shop.add_linked(name="kept at Stripe", email="truncated@example.org")
    shop.wait_equal()
    before = shop.customers()
    known = len(topics.messages(shop))
    shop.sql("TRUNCATE customers CASCADE")
    shop.until(lambda: len(topics.messages(shop)) > known, "the truncate is on the topic")
    (message,) = [each for each in topics.messages(shop) if each.value and topics.document(each)["op"] == "t"]
    assert topics.document(message)["source"]["table"] == "customers"
    shop.wait_quiet()
    assert shop.customers() == before
    shop.add_linked(name="afterwards", email="afterwards@example.org")


def events_of(shop: Installation, remote_id: str) -> list[Json]:
    """The events of one customer, the newest first, as Stripe lists them."""
    listed = httpx.get(f"{shop.stripe.url}/v1/events", auth=(shop.stripe.api_key, ""), params={"limit": 100})
    return [each for each in listed.json()["data"] if each["data"]["object"]["id"] == remote_id]


def deliver_again(shop: Installation, event: Json) -> None:
    """A webhook, signed as Stripe does."""
    body = json.dumps(event).encode()
    headers = {"Stripe-Signature": sign(body, [shop.secret], int(time.time()))}
    answer = shop.http("POST", "/webhooks/stripe", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
