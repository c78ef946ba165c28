"""Stripe's objects as tables. Another object is another table, no code.

Sources: the parameter classes of stripe-python 16.1 (API 2026-10-28.endive) and the lengths of Stripe's published
OpenAPI description. Left out is what an object takes but does not show again (``payment_method``, ``source``, ``tax``,
``tax_id_data``, ``default_price_data``): it cannot be kept in step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from bothways.connectors.stripe.fields import Archive, Field, Kind, ObjectType, Writes
from bothways.model.errors import SettingsError
from bothways.model.remote import Happening

METADATA_KEYS = 50
METADATA_KEY_LENGTH = 40
METADATA_VALUE_LENGTH = 500
TEXT_LENGTH = 5000
"""What Stripe allows where it names no other length."""

OURS = "bothways_"
"""How the metadata keys begin that this program writes for itself."""


def _address(root: str, writes: Writes = Writes.ALWAYS) -> Iterator[Field]:
    yield Field(root, Kind.HASH, writes=writes)
    for name in ("line1", "line2", "city", "state", "postal_code", "country"):
        yield Field(f"{root}.{name}", longest=TEXT_LENGTH, writes=writes)


def _seen_only(*fields: tuple[str, Kind]) -> Iterator[Field]:
    for path, kind in fields:
        yield Field(path, kind, writes=Writes.NEVER)


CUSTOMER = ObjectType(
    name="customer",
    path="/v1/customers",
    id_prefix="cus_",
    fields=(
        Field("name", longest=256),
        Field("email", longest=512, note="an address of the form name@domain"),
        Field("phone", longest=20),
        Field("description", longest=TEXT_LENGTH),
        Field("individual_name", longest=150),
        Field("business_name", longest=150),
        *_address("address"),
        Field("shipping", Kind.HASH, note="name and address.line1 go with everything else"),
        Field("shipping.name", longest=TEXT_LENGTH, unsets=False),
        Field("shipping.phone", longest=TEXT_LENGTH),
        *_address("shipping.address"),
        Field("preferred_locales", Kind.LIST, note="language tags such as de or pt-BR"),
        Field("tax_exempt", note="none, exempt or reverse"),
        Field("balance", Kind.INTEGER, unsets=False, note="minor units; negative is a credit"),
        Field("invoice_prefix", longest=12, note="3 to 12 upper-case letters or digits"),
        Field("next_invoice_sequence", Kind.INTEGER, unsets=False),
        Field("invoice_settings.custom_fields", Kind.LIST, longest=4, note="each with name (40) and value (140)"),
        Field("invoice_settings.default_payment_method", longest=TEXT_LENGTH, note="a method of this customer"),
        Field("invoice_settings.footer", longest=TEXT_LENGTH),
        Field("invoice_settings.rendering_options", Kind.HASH),
        Field(
            "invoice_settings.rendering_options.amount_tax_display",
            note="exclude_tax or include_inclusive_tax, or empty",
        ),
        Field("invoice_settings.rendering_options.template"),
        Field("default_source", longest=500, writes=Writes.UPDATE, unsets=False),
        Field("test_clock", writes=Writes.CREATE),
        *_seen_only(
            ("id", Kind.TEXT),
            ("created", Kind.UNIX),
            ("currency", Kind.TEXT),
            ("customer_account", Kind.TEXT),
            ("delinquent", Kind.BOOLEAN),
            ("livemode", Kind.BOOLEAN),
        ),
    ),
    events={
        "customer.created": Happening.CREATED,
        "customer.updated": Happening.UPDATED,
        "customer.deleted": Happening.DELETED,
    },
    list_filters={"email": "email"},
    whole=("shipping",),
)

PRODUCT = ObjectType(
    name="product",
    path="/v1/products",
    id_prefix="prod_",
    fields=(
        Field("name", longest=TEXT_LENGTH, unsets=False),
        Field("description", longest=40_000),
        Field("active", Kind.BOOLEAN, unsets=False),
        Field("images", Kind.LIST, longest=8, note="web addresses"),
        Field("marketing_features", Kind.LIST, longest=15, note="each with a name (80)"),
        Field("package_dimensions", Kind.HASH, note="all four sizes, two decimal places"),
        Field("package_dimensions.height", Kind.DECIMAL, unsets=False),
        Field("package_dimensions.length", Kind.DECIMAL, unsets=False),
        Field("package_dimensions.weight", Kind.DECIMAL, unsets=False),
        Field("package_dimensions.width", Kind.DECIMAL, unsets=False),
        Field("shippable", Kind.BOOLEAN, unsets=False),
        Field("statement_descriptor", longest=22, note="at least one letter, none of < > \\ \" '"),
        Field("tax_code", longest=TEXT_LENGTH, note="txcd_ and digits"),
        Field("tax_details", Kind.HASH),
        Field("tax_details.tax_code", longest=TEXT_LENGTH),
        Field("tax_details.performance_location", unsets=False),
        Field("unit_label", longest=12),
        Field("url", longest=TEXT_LENGTH, note="a web address"),
        Field("default_price", writes=Writes.UPDATE, unsets=False, note="a price of this product"),
        Field("type", writes=Writes.CREATE, unsets=False, note="good or service"),
        *_seen_only(
            ("id", Kind.TEXT),
            ("created", Kind.UNIX),
            ("updated", Kind.UNIX),
            ("livemode", Kind.BOOLEAN),
        ),
    ),
    events={
        "product.created": Happening.CREATED,
        "product.updated": Happening.UPDATED,
        "product.deleted": Happening.DELETED,
    },
    list_filters={"url": "url"},
    whole=("package_dimensions",),
    archive=Archive(sets={"active": False}, mark=f"{OURS}archived"),
)

OBJECTS = {described.name: described for described in (CUSTOMER, PRODUCT)}


def object_type(name: str) -> ObjectType:
    """The description of an object; ``SettingsError`` with what is near for a name that is none."""
    if described := OBJECTS.get(name):
        return described
    raise SettingsError(f"Stripe object {name!r} is not known", hint=_suggest(name, OBJECTS))


def check_path(object: str, path: str) -> Field:
    """The field at a dotted path; ``SettingsError`` with what to write instead where it cannot be mapped.

    Fields that cannot be written are answered as well: whether a mapping may use one depends on its direction
    (``Field.writable``, ``Field.writes``).
    """
    described = object_type(object)
    if path == "metadata" or path.startswith("metadata."):
        return _metadata(object, path)
    if found := described.by_path.get(path):
        return found
    known = [*described.by_path, "metadata.KEY"]
    below = [p for p in described.by_path if p.startswith(f"{path}.")]
    hint = f"name one of its fields: {', '.join(below)}" if below else _suggest(path, known)
    raise SettingsError(f"Stripe's {object} has no field {path!r}", hint=hint)


def field_kind(object: str, path: str) -> Kind:
    """What the field holds. Raises as ``check_path``."""
    return check_path(object, path).kind


def event_types(objects: Iterable[str]) -> tuple[str, ...]:
    """The types of event that these objects have."""
    return tuple(kind for name in objects for kind in object_type(name).events)


def _metadata(object: str, path: str) -> Field:
    _, _, key = path.partition(".")
    if not key:
        raise SettingsError(f"metadata of Stripe's {object} is mapped by its keys", hint="write metadata.KEY")
    if len(key) > METADATA_KEY_LENGTH or set(key) & set("[]."):
        raise SettingsError(
            f"{key!r} cannot be a metadata key here",
            hint=f"use at most {METADATA_KEY_LENGTH} characters, without brackets and dots",
        )
    if key.startswith(OURS):
        raise SettingsError(f"metadata key {key!r} is bothways' own", hint=f"use a key that does not begin with {OURS}")
    return Field(path, Kind.METADATA, longest=METADATA_VALUE_LENGTH)


def _suggest(wrong: str, known: Iterable[str]) -> str:
    choices = sorted(known)
    near = difflib.get_close_matches(wrong, choices, n=3, cutoff=0.5)
    near += [c for c in choices if c.rpartition(".")[2] == wrong and c not in near][:3]
    return f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(choices)}"
