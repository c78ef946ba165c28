"""A mapped column disappears under the running program: its entity stands still, all others go on, nothing is lost."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.acceptance.installation import Installation, Json


def said(shop: Installation) -> Json:
    """What ``/readyz`` says of each role."""
    answer = shop.readiness()
    roles: Json = {} if answer is None else answer.json()["roles"]
    return roles


def metric(shop: Installation, line: str) -> bool:
    """Whether ``/metrics`` has this line."""
    return line in shop.http("GET", "/metrics").text.splitlines()


@pytest.fixture
def records(shop: Installation) -> dict[str, tuple[int, str]]:
    """Customers that are linked, by what will be done with them."""
    names = ("edited here", "edited there", "deleted", "moved")
    found = {
        name: shop.add_linked(name=name, email=f"{name.replace(' ', '.')}@example.org", tier="gold") for name in names
    }
    shop.wait_quiet()
    return found


def test_a_mapped_column_that_disappears_and_comes_back(
    shop: Installation, records: dict[str, tuple[int, str]]
) -> None:
    """Edits on both sides, a deletion, a changed key and a new row wait for it, without a restart or a dead letter."""
    shop.sql("ALTER TABLE customers DROP COLUMN tier")
    shop.sql("UPDATE customers SET name = 'from here' WHERE id = %s", records["edited here"][0])
    shop.until(lambda: "tier" in (said(shop).get("mappings") or ""), "it says that the entity stands still")
    shop.until(lambda: "tier" in (said(shop).get("capture") or ""), "so does capture")
    assert metric(shop, 'bothways_entity_halted{entity="customer"} 1.0')
    assert metric(shop, 'bothways_entity_halted{entity="product"} 0.0')
    assert metric(shop, 'bothways_capture_trouble{entity="customer"} 1.0')

    shop.stripe.admin.edit("customer", records["edited there"][1], phone="0123")
    shop.sql("DELETE FROM customers WHERE id = %s", records["deleted"][0])
    shop.sql("UPDATE customers SET id = 900000, city = 'Delft' WHERE id = %s", records["moved"][0])
    new = shop.sql("INSERT INTO customers (name, email) VALUES ('new', 'new@example.org') RETURNING id")[0]["id"]
    shop.sql("INSERT INTO products (name) VALUES ('goes on')")
    shop.until(lambda: "goes on" in {each["name"] for each in shop.stripe.admin.objects("product")}, "products go on")
    waits = "SELECT count(*) AS n FROM bothways.parked WHERE waits_on = 'mapping:customer'"
    shop.until(lambda: shop.sql(waits)[0]["n"] >= 6, "what has to be done waits in the state")
    assert (shop.customer(records["edited here"][1]) or {})["name"] == "edited here"
    status = json.loads(shop.run("status", "--json").stdout)
    assert "no column 'tier'" in status["troubles"]["customer"]
    assert "no column 'tier'" in shop.run("status").stdout
    assert shop.letters() == []

    shop.sql("ALTER TABLE customers ADD COLUMN tier text")
    with psycopg.connect(shop.database, autocommit=True) as connection:
        connection.execute("UPDATE customers SET tier = 'gold'")
    shop.wait_ready()
    shop.wait_equal()
    assert (shop.customer(records["edited here"][1]) or {})["name"] == "from here"
    assert (shop.row(records["edited there"][1]) or {})["phone"] == "0123"
    assert shop.customer(records["deleted"][1]) is None
    moved = shop.row(records["moved"][1]) or {}
    assert (moved["id"], moved["city"]) == (900000, "Delft")
    assert shop.customer_of(new) is not None
    assert shop.letters() == []
    assert shop.sql("SELECT * FROM bothways.parked") == []
    assert metric(shop, 'bothways_entity_halted{entity="customer"} 0.0')
