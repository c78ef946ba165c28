"""The objects of the API as tables: what can be written, listed, searched, expanded.

Names, types and documented lengths are those of Stripe's published API (stripe-python 16.1, ``stripe/params``); lengths
that it does not document (name 256, phone 20, descriptions) are from memory of its OpenAPI description.

What is not certain about the real service, and chosen here:

* ``address`` merges by part, as "parameters not provided will be left unchanged" says. ``shipping`` and
  ``package_dimensions`` are written as a whole, and their required parts must be sent each time: so stripe-python 255
  and stripe-ruby 755 report it of ``shipping[name]``, and stripe-go 179 of the parts that were left out.
* '' in a part of an address becomes null; a recorded event shows Stripe keeping it (``Settings.empty_parts_kept``).
* A deleted product answers 404, a deleted customer a stub: the published API describes a stub for customers only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bothways.sandbox.stripe.checks import check_email, check_url, matches
from bothways.sandbox.stripe.fields import (
    Array,
    Boolean,
    Choice,
    Empty,
    Field,
    Hash,
    Integer,
    Metadata,
    Number,
    Reference,
    Text,
    Unsupported,
    WriteOnly,
)
from bothways.sandbox.stripe.filters import Among, Created, Equal, Filter, Flag
from bothways.sandbox.stripe.ids import Ids
from bothways.sandbox.stripe.words import Document


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing is deleted while an object of this kind points to it."""

    object: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Description:
    """One kind of object."""

    object: str
    path: str
    noun: str
    prefix: str
    id_length: int
    create: Mapping[str, Field]
    update: Mapping[str, Field]
    initial: Callable[[Ids], Document]
    """The fields of a new object, in their order, without id, object and created."""
    required: tuple[str, ...] = ()
    filters: Mapping[str, Filter] = field(default_factory=dict)
    indexed: tuple[str, ...] = ()
    """Filters on equality that are looked up instead of scanned for."""
    references: Mapping[str, str | None] = field(default_factory=dict)
    """What ``expand`` takes: path → kind of object; None: never anything there."""
    searchable: frozenset[str] = frozenset()
    """Fields that ``search`` knows; ``metadata`` and ``created`` among them."""
    deletable: bool = True
    shows_deleted: bool = False
    """A deleted one is shown as a stub; else it is as if it had never been."""
    blocked: tuple[Blocked, ...] = ()
    makes_events: bool = True
    stamps_updated: bool = False
    """Has a field ``updated``."""
    finish: Callable[[Document], Document] = lambda document: document
    """Fields that follow from others."""
    secret: str | None = None
    """A field that only the answer to the creation shows."""


def _trim(text: str) -> str:
    return text.strip()


def _tidy_email(text: str) -> str:
    return text.strip().lower()


ADDRESS = {name: Text(part=True) for name in ("city", "country", "line1", "line2", "postal_code", "state")}
METADATA = Metadata()

# ------------------------------------------------------------------------------------------------------------ customer

_CUSTOMER_WRITABLE: dict[str, Field] = {
    "address": Hash(ADDRESS),
    "balance": Integer(-99_999_999_999, 99_999_999_999),
    "business_name": Text(150),
    "cash_balance": Unsupported(),
    "default_source": Reference("source"),
    "description": Text(5000),
    "email": Text(512, check=check_email, tidy=_tidy_email),
    "individual_name": Text(150),
    "invoice_prefix": Text(
        12,
        Empty.REFUSED,
        check=matches(r"[A-Z0-9]{3,12}", "Invoice prefixes must be 3 to 12 uppercase letters or numbers."),
    ),
    "invoice_settings": Hash(
        {
            "custom_fields": Array(
                Hash(
                    {"name": Text(40, Empty.REFUSED), "value": Text(140, Empty.REFUSED)},
                    ("name", "value"),
                    merges=False,
                    clearable=False,
                ),
                most=4,
                empty_is_null=True,
            ),
            "default_payment_method": Reference("PaymentMethod"),
            "footer": Text(5000),
            "rendering_options": Hash(
                {
                    "amount_tax_display": Choice(("exclude_tax", "include_inclusive_tax"), if_empty=None),
                    "template": Reference("invoice rendering template"),
                }
            ),
        },
        clearable=False,
    ),
    "metadata": METADATA,
    "name": Text(256, tidy=_trim),
    "next_invoice_sequence": Integer(1, 2**31 - 1),
    "phone": Text(20),
    "preferred_locales": Array(Text(5000, Empty.REFUSED)),
    "shipping": Hash(
        {"address": Hash(ADDRESS, merges=False, clearable=False), "name": Text(), "phone": Text()},
        ("address", "name"),
        merges=False,
    ),
    "source": Reference("source"),
    "tax": WriteOnly(
        Hash({"ip_address": Text(), "validate_location": Choice(("auto", "deferred", "immediately"))}, clearable=False)
    ),
    "tax_exempt": Choice(("exempt", "none", "reverse"), if_empty="none"),
    "validate": WriteOnly(Boolean()),
}


def _new_customer(ids: Ids) -> Document:
    return {
        "address": None,
        "balance": 0,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": ids.invoice_prefix(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


CUSTOMER = Description(
    object="customer",
    path="customers",
    noun="customer",
    prefix="cus",
    id_length=14,
    create=_CUSTOMER_WRITABLE
    | {
        "payment_method": Reference("PaymentMethod"),
        "tax_id_data": Unsupported(),
        "test_clock": Reference("test clock"),
    },
    update=_CUSTOMER_WRITABLE,
    initial=_new_customer,
    filters={"created": Created(), "email": Equal("email"), "test_clock": Equal("test_clock")},
    indexed=("email",),
    references={
        "default_source": None,
        "discount": None,
        "test_clock": None,
        "invoice_settings.default_payment_method": None,
    },
    searchable=frozenset({"created", "email", "metadata", "name", "phone"}),
    shows_deleted=True,
)

# ------------------------------------------------------------------------------------------------------------- product

_PRODUCT_WRITABLE: dict[str, Field] = {
    "active": Boolean(),
    "description": Text(40_000),
    "images": Array(Text(2048, Empty.REFUSED, check=check_url), most=8),
    "marketing_features": Array(
        Hash({"name": Text(80, Empty.REFUSED)}, ("name",), merges=False, clearable=False), most=15
    ),
    "metadata": METADATA,
    "name": Text(5000, Empty.REFUSED, tidy=_trim),
    "package_dimensions": Hash(
        {name: Number() for name in ("height", "length", "weight", "width")},
        ("height", "length", "weight", "width"),
        merges=False,
    ),
    "shippable": Boolean(),
    "statement_descriptor": Text(
        22,
        check=matches(
            r"""(?=.*[A-Za-z])[^<>\\"']*""",
            "The statement descriptor must contain at least one letter, and none of < > \\ \" '.",
        ),
    ),
    "tax_code": Text(check=matches(r"txcd_[0-9]{8}", "Invalid tax code.")),
    "tax_details": Unsupported(),
    "unit_label": Text(12),
    "url": Text(5000, check=check_url),
}


def _new_product(_: Ids) -> Document:
    return {
        "active": True,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": None,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": 0,
        "url": None,
    }


PRODUCT = Description(
    object="product",
    path="products",
    noun="product",
    prefix="prod",
    id_length=14,
    create=_PRODUCT_WRITABLE
    | {
        "default_price_data": Unsupported(),
        "id": Text(
            255,
            Empty.REFUSED,
            check=matches(r"[A-Za-z0-9_.-]+", "Product ids can hold letters, digits, '_', '-' and '.' only."),
        ),
        "type": Choice(("good", "service")),
    },
    update=_PRODUCT_WRITABLE | {"default_price": Reference("price", "price")},
    initial=_new_product,
    required=("name",),
    filters={
        "active": Flag("active"),
        "created": Created(),
        "ids": Among("id"),
        "shippable": Flag("shippable"),
        "type": Equal("type"),
        "url": Equal("url"),
    },
    references={"default_price": "price", "tax_code": None},
    searchable=frozenset({"active", "created", "description", "metadata", "name", "shippable", "url"}),
    blocked=(
        Blocked("price", "product", "This product cannot be deleted because it has one or more user-created prices."),
    ),
    stamps_updated=True,
)
