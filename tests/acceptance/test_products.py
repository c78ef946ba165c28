"""The second object, and records that point to others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from tests.acceptance.installation import TABLES, Installation, Json
from tests.acceptance.standing import standing

MAKER = """
customer_id = { ref = "customer", field = "metadata.customer" }
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Installation]:
    """Products belong to customers, whose names must not be empty at Stripe."""
    tables = TABLES + "ALTER TABLE products ADD COLUMN customer_id bigint REFERENCES customers (id) ON DELETE SET NULL"
    with standing(tmp_path_factory.mktemp("shop"), postgres_server, tables=tables, more=MAKER) as ready:
        yield ready


def test_products_go_both_ways(shop: Installation) -> None:
    """Made, edited and deleted on either side, with a boolean and without code of their own."""
    (row,) = shop.sql("INSERT INTO products (name, description) VALUES ('lamp', 'bright') RETURNING id")
    made = shop.until(partial(product, shop, "lamp"), "the lamp at Stripe")
    assert (made["description"], made["active"]) == ("bright", True)
    shop.stripe.admin.edit("product", made["id"], name="lantern", active=False)
    shop.until(lambda: product_row(shop, "lantern") is not None, "the edit in the row")
    found = product_row(shop, "lantern")
    assert found is not None
    assert (found["id"], found["active"]) == (row["id"], False)
    shop.sql("UPDATE products SET active = true, description = NULL WHERE id = %s", row["id"])
    shop.until(lambda: (product(shop, "lantern") or {}).get("active"), "it is active at Stripe")
    assert (product(shop, "lantern") or {})["description"] is None
    shop.stripe.admin.create("product", name="candle")
    shop.until(partial(product_row, shop, "candle"), "the candle has a row")
    shop.sql("DELETE FROM products WHERE name = 'lantern'")
    shop.until(lambda: product(shop, "lantern") is None, "the lantern is gone at Stripe")
    shop.stripe.admin.delete("product", (product(shop, "candle") or {})["id"])
    shop.until(lambda: product_row(shop, "candle") is None, "the candle's row is gone")
    assert shop.letters() == []


def test_a_product_with_a_price_is_archived(shop: Installation) -> None:
    """Stripe deletes no product that has prices: it is made inactive, and that does not bring the row back."""
    shop.sql("INSERT INTO products (name) VALUES ('priced')")
    made = shop.until(partial(product, shop, "priced"), "it is at Stripe")
    price = {"product": made["id"], "unit_amount": 100, "currency": "eur"}
    httpx.post(f"{shop.stripe.url}/v1/prices", auth=(shop.stripe.api_key, ""), data=price).raise_for_status()
    shop.sql("DELETE FROM products WHERE name = 'priced'")
    shop.until(lambda: (product(shop, "priced") or {}).get("active") is False, "it is archived")
    before = shop.wait_quiet()
    shop.stripe.admin.edit("product", made["id"], description="edited by hand")
    assert shop.wait_quiet() == before
    assert product_row(shop, "priced") is None
    assert shop.letters() == []


def test_what_points_to_a_record_without_a_link_waits_for_it(shop: Installation) -> None:
    """The customer cannot be made yet; its product is parked, without a call; then both go out."""
    shop.stripe.admin.fault("unavailable", method="POST", path="/v1/customers", contains="maker")
    key = shop.add(name="maker", email="maker@example.org")
    shop.sql("INSERT INTO products (name, customer_id) VALUES ('made', %s)", key)
    shop.until(lambda: shop.sql("SELECT 1 FROM bothways.parked WHERE entity = 'product'"), "the product is parked")
    calls = [each for each in shop.stripe.admin.requests() if each["path"] == "/v1/products"]
    assert product(shop, "made") is None
    shop.stripe.admin.end_faults()
    made = shop.until(partial(product, shop, "made"), "the product is at Stripe")
    assert made["metadata"]["customer"] == shop.customer_of(key)
    assert len([each for each in shop.stripe.admin.requests() if each["path"] == "/v1/products"]) == len(calls) + 1
    shop.until(lambda: not shop.sql("SELECT 1 FROM bothways.parked"), "nothing is parked any more")


def test_a_reference_that_comes_in_brings_what_it_points_to(shop: Installation) -> None:
    """A product made at Stripe that names a customer whose webhook never came: both get a row."""
    shop.stripe.admin.fault("dropped", type="customer.*")
    maker = shop.stripe.admin.create("customer", name="unknown", email="unknown@example.org")["id"]
    shop.stripe.admin.create("product", name="pointing", metadata={"customer": maker})
    row = shop.until(partial(product_row, shop, "pointing"), "the product has a row")
    assert row["customer_id"] == (shop.row(maker) or {})["id"]
    shop.stripe.admin.end_faults()
    before = shop.wait_quiet()
    key, other = shop.add_linked(name="other", email="other@example.org")
    shop.sql("UPDATE products SET customer_id = %s WHERE name = 'pointing'", key)
    shop.until(lambda: (product(shop, "pointing") or {})["metadata"]["customer"] == other, "the new reference")
    assert shop.wait_quiet() == before + 2
    assert shop.letters() == []


def product(shop: Installation, name: str) -> Json | None:
    """Stripe's product of that name."""
    return next((each for each in shop.stripe.admin.objects("product") if each["name"] == name), None)


def product_row(shop: Installation, name: str) -> Json | None:
    """The row of that name."""
    return next(iter(shop.sql("SELECT * FROM products WHERE name = %s", name)), None)
