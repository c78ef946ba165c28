"""Products, their prices, and webhook endpoints."""

from __future__ import annotations

import re

import pytest

from bothways.sandbox.stripe.words import Json
from tests.unit.sandbox.account import Account, ids, part, refused


@pytest.fixture
def account() -> Account:
    """An empty account."""
    return Account()


def test_a_product_has_stripes_shape(account: Account) -> None:
    """Exactly the fields of the published API's example."""
    product = account.create("product", name="T-shirt")
    assert set(product) == {
        *("active", "created", "default_price", "description", "id", "images", "livemode", "marketing_features"),
        *("metadata", "name", "object", "package_dimensions", "shippable", "statement_descriptor", "tax_code", "type"),
        *("unit_label", "updated", "url"),
    }
    assert re.fullmatch(r"prod_[A-Za-z0-9]{14}", str(product["id"]))
    assert product["active"] is True


def test_a_price_has_stripes_shape(account: Account) -> None:
    """Exactly the fields of the published API's example."""
    product = account.create("product", name="T-shirt")
    price = account.create(
        "price", product=product["id"], currency="usd", unit_amount=2000, recurring={"interval": "month"}
    )
    assert set(price) == {
        *("active", "billing_scheme", "created", "currency", "custom_unit_amount", "id", "livemode", "lookup_key"),
        *("metadata", "nickname", "object", "product", "recurring", "tax_behavior", "tiers_mode"),
        *("transform_quantity", "type", "unit_amount", "unit_amount_decimal"),
    }
    assert fields_of(part(price, "recurring")) == {
        *("interval", "interval_count", "meter", "trial_period_days", "usage_type")
    }
    assert (price["type"], price["unit_amount_decimal"]) == ("recurring", "2000")


def fields_of(value: Json) -> set[str]:
    """The names in a hash."""
    assert isinstance(value, dict)
    return set(value)


def test_every_writable_field_of_a_product(account: Account) -> None:
    """What was sent comes back, in the object's types."""
    product = account.create(
        "product",
        id="shirt-1",
        name="T-shirt",
        active=False,
        description="grey",
        images=["https://x.org/a.png"],
        marketing_features=[{"name": "soft"}],
        package_dimensions={"height": "1.5", "length": 2, "weight": 3, "width": 4},
        shippable=True,
        statement_descriptor="SHIRT",
        tax_code="txcd_10000000",
        unit_label="piece",
        url="https://x.org",
        metadata={"a": "1"},
    )
    assert product["id"] == "shirt-1"
    assert product["active"] is False
    assert product["package_dimensions"] == {"height": 1.5, "length": 2, "weight": 3, "width": 4}
    assert product["marketing_features"] == [{"name": "soft"}]
    with refused(400, code="resource_already_exists", param="id"):
        account.create("product", id="shirt-1", name="another")


@pytest.mark.parametrize(
    ("params", "param", "code"),
    [
        ({}, "name", "parameter_missing"),
        ({"name": ""}, "name", "parameter_invalid_empty"),
        ({"name": "x", "active": "yes"}, "active", None),
        ({"name": "x", "active": ""}, "active", "parameter_invalid_empty"),
        ({"name": "x", "images": ["https://x.org"] * 9}, "images", None),
        ({"name": "x", "images": ["not a url"]}, "images[0]", "url_invalid"),
        ({"name": "x", "unit_label": "x" * 13}, "unit_label", None),
        ({"name": "x", "statement_descriptor": "1234"}, "statement_descriptor", None),
        ({"name": "x", "package_dimensions": {"height": 1}}, "package_dimensions[length]", "parameter_missing"),
        (
            {"name": "x", "package_dimensions": {"height": "-1", "length": 1, "weight": 1, "width": 1}},
            "package_dimensions[height]",
            None,
        ),
        ({"name": "x", "default_price": "price_1"}, "default_price", "parameter_unknown"),
        ({"name": "x", "default_price_data": {"currency": "usd"}}, "default_price_data", None),
    ],
)
def test_refusals_of_products(account: Account, params: dict[str, object], param: str, code: str | None) -> None:
    """A refusal says which parameter."""
    with refused(400, param=param, code=code):
        account.create("product", **params)


def test_a_product_with_a_price_cannot_be_deleted(account: Account) -> None:
    """It can be archived; one without prices goes for good and is unknown afterwards."""
    product = account.create("product", name="T-shirt")
    account.create("price", product=product["id"], currency="usd", unit_amount=1)
    with refused(400, message="This product cannot be deleted because it has one or more user-created prices."):
        account.delete(product)
    assert account.update(product, active=False)["active"] is False

    other = account.create("product", name="mug")
    account.delete(other)
    with refused(404, code="resource_missing", message="No such product"):
        account.retrieve("product", str(other["id"]))


def test_default_price_and_its_expansion(account: Account) -> None:
    """A price of the sandbox, shown by id or in full."""
    product = account.create("product", name="T-shirt")
    price = account.create("price", product=product["id"], currency="usd", unit_amount=1)
    with refused(400, code="resource_missing", param="default_price"):
        account.update(product, default_price="price_none")
    assert account.update(product, default_price=price["id"])["default_price"] == price["id"]
    shown = account.retrieve("product", str(product["id"]), expand=["default_price"])
    assert part(shown, "default_price", "unit_amount") == 1
    listed = account.list("product", expand=["data.default_price"])
    assert "unit_amount" in str(listed["data"])
    with refused(400, message="You may want to try expanding 'data.default_price' instead."):
        account.list("product", expand=["default_price"])


def test_products_are_filtered(account: Account) -> None:
    """By activity and by id."""
    one = account.create("product", name="one")
    two = account.create("product", name="two", active=False)
    assert ids(account.list("product", active=True)) == [one["id"]]
    assert ids(account.list("product", active=False)) == [two["id"]]
    assert ids(account.list("product", ids=[one["id"], "prod_none"])) == [one["id"]]


def test_updated_moves_with_changes_only(account: Account) -> None:
    """``updated`` is the time of the last change."""
    product = account.create("product", name="one")
    account.now += 10
    assert account.update(product, name="one")["updated"] == 1_000_000
    changed = account.update(product, name="two")
    assert changed["updated"] == 1_000_010
    assert part(account.last_event, "data", "previous_attributes") == {"name": "one", "updated": 1_000_000}


def test_a_webhook_endpoint_shows_its_secret_once(account: Account) -> None:
    """Only the answer to its creation has it; the rest is Stripe's shape."""
    made = account.create("webhook_endpoint", url="http://127.0.0.1:1/hook", enabled_events=["*"])
    assert re.fullmatch(r"whsec_[A-Za-z0-9]{32}", str(made["secret"]))
    shown = account.retrieve("webhook_endpoint", str(made["id"]))
    assert set(shown) == {
        *("api_version", "application", "created", "description", "enabled_events", "id", "livemode", "metadata"),
        *("object", "status", "url"),
    }
    assert account.update(made, disabled=True)["status"] == "disabled"
    assert account.update(made, disabled=False, url="http://127.0.0.1:2/")["status"] == "enabled"
    assert not account.notices, "endpoints make no events"
    assert account.delete(made) == {"id": made["id"], "object": "webhook_endpoint", "deleted": True}
    with refused(404):
        account.retrieve("webhook_endpoint", str(made["id"]))


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"url": "http://x.org"}, "enabled_events"),
        ({"enabled_events": ["*"]}, "url"),
        ({"url": "x.org", "enabled_events": ["*"]}, "url"),
        ({"url": "http://x.org", "enabled_events": []}, "enabled_events"),
        ({"url": "http://x.org", "enabled_events": ["customer.*"]}, "enabled_events[0]"),
    ],
)
def test_refusals_of_webhook_endpoints(account: Account, params: dict[str, object], param: str) -> None:
    """Without an address or events it is nothing."""
    encoded = {**params, "enabled_events": ""} if params.get("enabled_events") == [] else params
    with refused(400, param=param):
        account.create("webhook_endpoint", **encoded)


def test_no_more_than_sixteen_endpoints(account: Account) -> None:
    """Stripe's limit."""
    for _ in range(16):
        account.create("webhook_endpoint", url="http://x.org", enabled_events=["*"])
    with refused(400, message="16"):
        account.create("webhook_endpoint", url="http://x.org", enabled_events=["*"])
