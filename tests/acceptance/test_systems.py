"""The systems that people build by hand: catalogue, topic, Stripe, webhooks and a poller."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.acceptance import topics
from tests.acceptance.installation import Installation
from tests.acceptance.standing import standing


@pytest.fixture(scope="module", params=["sqlite", "kafka"])
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: str
) -> Iterator[Installation]:
    """One that is up for all tests here, on each log."""
    log = request.getfixturevalue("kafka_url") if request.param == "kafka" else "sqlite"
    with standing(tmp_path_factory.mktemp("shop"), postgres_server, log=log, poll="1s") as ready:
        yield ready


def test_the_catalogue_by_command_line(shop: Installation) -> None:
    """Create, list, update, delete: each reaches Stripe once, and the topic as one message (and one for the new id)."""
    made = json.loads(command(shop, "create", "customer", "name=Ada", "email=cli@example.org", "--json"))
    key = made["record"]["id"]
    remote_id = shop.until(lambda: shop.customer_of(key), "Ada has her customer")
    assert shop.customer(remote_id) is not None
    listed = json.loads(command(shop, "list", "customer", "--limit", "1000", "--json"))["data"]
    assert [each["name"] for each in listed if each["id"] == key] == ["Ada"]
    command(shop, "update", "customer", str(key), "name=Ada Lovelace", "points:=3")
    shop.until(lambda: shows(shop, remote_id, name="Ada Lovelace", points="3"), "the update at Stripe")
    command(shop, "delete", "customer", str(key))
    shop.until(lambda: shop.customer(remote_id) is None, "the deletion at Stripe")
    writes = shop.wait_quiet()
    assert topics.kinds(topics.of_key(shop, key)) == ["c", "u<stripe", "u", "d", "-"]
    assert [each["method"] for each in calls(shop, remote_id)] == ["POST", "DELETE"]
    assert shop.wait_quiet(0.3) == writes
    missing = shop.run("records", "get", "customer", str(key))
    assert missing.returncode != 0
    assert "Traceback" not in missing.stderr


def test_the_api_to_the_topic_to_stripe(shop: Installation) -> None:
    """A write by HTTP is a row, a message as Debezium has it, and a customer with our mark."""
    body = {"name": "Grace", "email": "api@example.org", "city": "New York"}
    answer = shop.http("POST", "/v1/records/customer", json=body)
    assert answer.status_code == 201
    key = answer.json()["id"]
    remote_id = shop.until(lambda: shop.customer_of(key), "Grace has her customer")
    (row,) = shop.sql("SELECT * FROM customers WHERE id = %s", key)
    assert (row["name"], row["city"]) == ("Grace", "New York")
    shown = shop.customer(remote_id)
    assert shown is not None
    assert (shown["name"], shown["address"]["city"]) == ("Grace", "New York")
    assert shown["metadata"]["bothways_key"] == f'{{"id":{key}}}'
    first, second = shop.until(lambda: two(topics.of_key(shop, key)), "two messages")
    envelope = topics.document(first)
    assert set(envelope) == {"before", "after", "source", "op", "ts_ms", "transaction"}
    assert (envelope["op"], envelope["before"]) == ("c", None)
    assert envelope["after"] == {**answer.json(), "stripe_customer_id": None}
    source = envelope["source"]
    assert (source["connector"], source["name"], source["schema"], source["table"]) == (
        "postgresql",
        shop.prefix,
        "public",
        "customers",
    )
    assert first.header("bothways.position")
    assert first.header("bothways.origin") is None
    assert second.header("bothways.origin") == b"stripe"
    assert topics.document(second)["after"]["stripe_customer_id"] == remote_id
    patched = shop.http("PATCH", f"/v1/records/customer/{key}", json={"city": "Arlington"})
    assert patched.json()["city"] == "Arlington"
    shop.until(lambda: shows(shop, remote_id, city="Arlington"), "the new city at Stripe")
    assert shop.http("DELETE", f"/v1/records/customer/{key}").status_code == 204
    shop.until(lambda: shop.customer(remote_id) is None, "the deletion at Stripe")
    assert shop.http("GET", f"/v1/records/customer/{key}").status_code == 404


def test_stripe_to_the_rows_and_no_further(shop: Installation) -> None:
    """What people do in the dashboard becomes rows by webhook; nothing of it is written back to Stripe."""
    before = shop.wait_quiet()
    admin = shop.stripe.admin
    remote_id = admin.create("customer", name="Edsger", email="webhook@example.org", metadata={"points": "7"})["id"]
    row = shop.until(lambda: shop.row(remote_id), "Edsger has a row")
    assert (row["name"], row["email"], row["points"]) == ("Edsger", "webhook@example.org", 7)
    admin.edit("customer", remote_id, name="Edsger W.", address={"city": "Nuenen"}, metadata={"points": "8"})
    shop.until(lambda: (shop.row(remote_id) or {}).get("points") == 8, "the edit in the row")
    assert (shop.row(remote_id) or {})["city"] == "Nuenen"
    admin.delete("customer", remote_id)
    shop.until(lambda: shop.row(remote_id) is None, "the row is deleted")
    assert shop.wait_quiet() == before
    assert topics.kinds(topics.of_key(shop, row["id"])) == ["c<stripe", "u<stripe", "d<stripe", "-"]


def test_the_poller_brings_what_webhooks_missed(shop: Installation) -> None:
    """Creation, edit and deletion arrive although not one webhook is delivered; nothing goes back."""
    before, admin = shop.wait_quiet(), shop.stripe.admin
    admin.fault("dropped")
    try:
        remote_id = admin.create("customer", name="Barbara", email="poll@example.org")["id"]
        shop.until(lambda: shop.row(remote_id), "Barbara has a row")
        admin.edit("customer", remote_id, name="Barbara L.")
        shop.until(lambda: (shop.row(remote_id) or {}).get("name") == "Barbara L.", "the edit in the row")
        admin.delete("customer", remote_id)
        shop.until(lambda: shop.row(remote_id) is None, "the row is deleted")
    finally:
        admin.end_faults()
    assert shop.wait_quiet() == before


def test_edits_by_hand_arrive_on_records_that_we_wrote_last(shop: Installation) -> None:
    """At once after each write of ours, in the same second, hundreds of times: each edit is in the row at the end."""
    keys, ids = add_linked(shop, "hand", 20)
    for turn in range(10):
        written, edited = f"written {turn}", f"by hand {turn}"
        shop.sql("UPDATE customers SET name = %s, city = %s WHERE id = ANY(%s)", written, written, keys)
        left = set(ids)
        shop.until(partial(edit_by_hand, shop, left, written, edited), f"all of it is written: {written}")
        shop.until(partial(all_named, shop, ids, edited), f"all edits by hand are here: {edited}")
    shop.wait_equal()
    assert all_named(shop, ids, "by hand 9")


def test_edits_by_hand_arrive_while_we_write_other_fields(shop: Installation) -> None:
    """Neither side's field is lost, however the calls and webhooks overlap."""
    keys, ids = add_linked(shop, "both", 20)
    for turn in range(10):
        for key, remote_id in zip(keys, ids, strict=True):
            shop.sql("UPDATE customers SET city = %s WHERE id = %s", f"city {turn}", key)
            shop.stripe.admin.edit("customer", remote_id, name=f"name {turn}", phone=f"phone {turn}")
    shop.wait_equal()
    found = shop.sql("SELECT DISTINCT name, phone, city FROM customers WHERE id = ANY(%s)", keys)
    assert found == [{"name": "name 9", "phone": "phone 9", "city": "city 9"}]


def command(shop: Installation, *arguments: str) -> str:
    """``bothways records`` that works; what it prints."""
    done = shop.run("records", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def calls(shop: Installation, remote_id: str) -> list[dict[str, Any]]:
    """The requests that changed this customer, but for its creation."""
    path = f"/v1/customers/{remote_id}"
    return [each for each in shop.stripe.admin.requests() if each["path"] == path and each["method"] != "GET"]


def shows(
    shop: Installation, remote_id: str, *, points: str | None = None, city: str | None = None, **fields: str
) -> bool:
    """Whether Stripe shows these values."""
    found = shop.customer(remote_id)
    return (
        found is not None
        and all(found[name] == value for name, value in fields.items())
        and points in (None, found["metadata"].get("points"))
        and city in (None, (found["address"] or {}).get("city"))
    )


def add_linked(shop: Installation, name: str, count: int) -> tuple[list[int], list[str]]:
    """New rows and their customers."""
    keys = [shop.add(name=name, email=f"{name}{number}@example.org") for number in range(count)]
    return keys, [shop.until(partial(shop.customer_of, key), "it has its customer") for key in keys]


def edit_by_hand(shop: Installation, left: set[str], written: str, edited: str) -> bool:
    """Edit those that show what we wrote, and leave them out from now on; whether that were all."""
    for each in shop.customers():
        if each["id"] in left and each["name"] == written:
            shop.stripe.admin.edit("customer", each["id"], name=edited)
            left.remove(each["id"])
    return not left


def all_named(shop: Installation, ids: list[str], name: str) -> bool:
    """Whether all of these customers' rows have this name."""
    found = shop.sql("SELECT DISTINCT name FROM customers WHERE stripe_customer_id = ANY(%s)", ids)
    return found == [{"name": name}]


def two(found: list[Any]) -> tuple[Any, Any] | None:
    """Both, once there are two."""
    return (found[0], found[1]) if len(found) == 2 else None
