"""The objects beside customers and products: prices, as far as products need them, and webhook endpoints."""

from __future__ import annotations

from bothways.sandbox.stripe.checks import check_url, matches
from bothways.sandbox.stripe.fields import (
    Array,
    Boolean,
    Choice,
    Empty,
    Field,
    Hash,
    Integer,
    Reference,
    Text,
    Unsupported,
    WriteOnly,
)
from bothways.sandbox.stripe.filters import Among, Created, Equal, Flag
from bothways.sandbox.stripe.ids import Ids
from bothways.sandbox.stripe.objects import CUSTOMER, METADATA, PRODUCT, Description
from bothways.sandbox.stripe.words import Document

_PRICE_WRITABLE: dict[str, Field] = {
    "active": Boolean(),
    "lookup_key": Text(200),
    "metadata": METADATA,
    "nickname": Text(5000),
    "tax_behavior": Choice(("exclusive", "inclusive", "unspecified")),
    "currency_options": Unsupported(),
    "transfer_lookup_key": Unsupported(),
}


def _new_price(_: Ids) -> Document:
    return {
        "active": True,
        "billing_scheme": "per_unit",
        "currency": None,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": None,
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": None,
        "unit_amount_decimal": None,
    }


def _finish_price(document: Document) -> Document:
    """Type and the decimal amount follow from the rest; a recurring part has defaults."""
    recurring = document["recurring"]
    amount = document["unit_amount"]
    if isinstance(recurring, dict):
        recurring = {
            "interval": recurring.get("interval"),
            "interval_count": recurring.get("interval_count") or 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": recurring.get("usage_type") or "licensed",
        }
    return document | {
        "recurring": recurring,
        "type": "recurring" if recurring else "one_time",
        "unit_amount_decimal": None if amount is None else str(amount),
    }


PRICE = Description(
    object="price",
    path="prices",
    noun="price",
    prefix="price",
    id_length=24,
    create=_PRICE_WRITABLE
    | {
        "currency": Text(
            3, Empty.REFUSED, check=matches("[a-z]{3}", "Invalid currency: it must be a three-letter code.")
        ),
        "product": Reference("product", "product", Empty.REFUSED),
        "recurring": Hash(
            {
                "interval": Choice(("day", "month", "week", "year")),
                "interval_count": Integer(1, 1095),
                "usage_type": Choice(("licensed", "metered")),
            },
            ("interval",),
            merges=False,
            clearable=False,
        ),
        "unit_amount": Integer(0, 99_999_999_999),
        **{
            name: Unsupported()
            for name in (
                "billing_scheme",
                "custom_unit_amount",
                "product_data",
                "tiers",
                "tiers_mode",
                "transform_quantity",
                "unit_amount_decimal",
            )
        },
    },
    update=_PRICE_WRITABLE,
    initial=_new_price,
    required=("currency", "product", "unit_amount"),
    filters={
        "active": Flag("active"),
        "created": Created(),
        "currency": Equal("currency"),
        "lookup_keys": Among("lookup_key", 10),
        "product": Equal("product"),
        "type": Equal("type"),
    },
    indexed=("product",),
    references={"product": "product"},
    deletable=False,
    finish=_finish_price,
)

_ENDPOINT_WRITABLE: dict[str, Field] = {
    "description": Text(5000),
    "enabled_events": Array(
        Text(
            100,
            Empty.REFUSED,
            check=matches(
                r"\*|[a-z0-9_]+(\.[a-z0-9_]+)+", "Invalid enabled_events: an event's type, or * for all of them."
            ),
        ),
        most=500,
        required=True,
    ),
    "metadata": METADATA,
    "url": Text(2000, Empty.REFUSED, check=check_url),
}


def _new_endpoint(ids: Ids) -> Document:
    return {
        "api_version": None,
        "application": None,
        "description": None,
        "enabled_events": [],
        "livemode": False,
        "metadata": {},
        "secret": ids.make("whsec", 32),
        "status": "enabled",
        "url": None,
    }


def _finish_endpoint(document: Document) -> Document:
    """``disabled`` is written, ``status`` is shown."""
    disabled = document.get("disabled")
    finished = {name: value for name, value in document.items() if name != "disabled"}
    if disabled is not None:
        finished["status"] = "disabled" if disabled else "enabled"
    return finished


WEBHOOK_ENDPOINT = Description(
    object="webhook_endpoint",
    path="webhook_endpoints",
    noun="webhook endpoint",
    prefix="we",
    id_length=24,
    create=_ENDPOINT_WRITABLE
    | {
        "api_version": Text(50, check=matches(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[a-z]+)?", "Invalid API version.")),
        "connect": WriteOnly(Boolean()),
    },
    update=_ENDPOINT_WRITABLE | {"disabled": Boolean()},
    initial=_new_endpoint,
    required=("enabled_events", "url"),
    makes_events=False,
    finish=_finish_endpoint,
    secret="secret",  # noqa: S106 - the name of the field
)

DESCRIPTIONS = {each.object: each for each in (CUSTOMER, PRODUCT, PRICE, WEBHOOK_ENDPOINT)}
