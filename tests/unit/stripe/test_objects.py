"""The tables that describe Stripe's objects."""

from __future__ import annotations

import pytest
from stripe.params import (
    CustomerCreateParams,
    CustomerUpdateParams,
    CustomerUpdateParamsAddress,
    ProductCreateParams,
    ProductUpdateParams,
)

from bothways.connectors.stripe.fields import Kind, Writes
from bothways.connectors.stripe.objects import OBJECTS, check_path, event_types, field_kind, object_type
from bothways.model.errors import SettingsError

NOT_SHOWN = {
    "customer": {"cash_balance", "payment_method", "source", "tax", "tax_id_data", "validate"},
    "product": {"default_price_data"},
}
"""What a call takes and no answer shows again (or only when expanded): it cannot be kept in step."""

NOT_DATA = {"expand", "metadata", "id"}
OPTIONS = {"api_key", "content_type", "headers", "idempotency_key", "max_network_retries"} | {
    "stripe_account",
    "stripe_context",
    "stripe_version",
}


def parameters(params: type) -> set[str]:
    """What the SDK says that a call takes, at the top."""
    return set(params.__annotations__) - OPTIONS - NOT_DATA


@pytest.mark.parametrize(
    ("name", "params", "writes"),
    [
        ("customer", CustomerCreateParams, {Writes.ALWAYS, Writes.CREATE}),
        ("customer", CustomerUpdateParams, {Writes.ALWAYS, Writes.UPDATE}),
        ("product", ProductCreateParams, {Writes.ALWAYS, Writes.CREATE}),
        ("product", ProductUpdateParams, {Writes.ALWAYS, Writes.UPDATE}),
    ],
)
def test_every_parameter_of_the_sdk_can_be_mapped(name: str, params: type, writes: set[Writes]) -> None:
    """What the SDK can write and Stripe shows is in the table, for the right calls; the table has nothing else."""
    described = {f.path.split(".")[0] for f in object_type(name).fields if f.writes in writes}
    assert described == parameters(params) - NOT_SHOWN[name]


def test_addresses_have_the_members_that_the_sdk_has() -> None:
    """The members of an address are the SDK's, in both places."""
    members = set(CustomerUpdateParamsAddress.__annotations__)
    for root in ("address", "shipping.address"):
        assert {f.path.rpartition(".")[2] for f in object_type("customer").members(root)} == members


def test_a_mapped_path_is_found_with_its_kind() -> None:
    """Nested paths, lists, metadata keys and what is only seen have their kinds."""
    assert field_kind("customer", "address.city") is Kind.TEXT
    assert field_kind("customer", "preferred_locales") is Kind.LIST
    assert field_kind("customer", "metadata.tier") is Kind.METADATA
    assert field_kind("customer", "created") is Kind.UNIX
    assert field_kind("product", "active") is Kind.BOOLEAN
    assert field_kind("product", "package_dimensions.width") is Kind.DECIMAL
    assert not check_path("customer", "created").writable
    assert check_path("customer", "metadata.tier").longest == 500


@pytest.mark.parametrize(
    ("object", "path", "word"),
    [
        ("customer", "emial", "email"),
        ("customer", "city", "address.city"),
        ("customer", "adress.city", "address.city"),
        ("customer", "invoice_settings", "invoice_settings.footer"),
        ("customer", "metadata", "metadata.KEY"),
        ("customer", "metadata.", "metadata.KEY"),
        ("customer", "metadata.a.b", "without brackets and dots"),
        ("customer", "metadata.a[b]", "without brackets and dots"),
        ("customer", "metadata." + "k" * 41, "at most 40"),
        ("customer", "metadata.bothways_link", "begin with bothways_"),
        ("product", "price", "default_price"),
        ("produkt", "name", "product"),
        ("", "name", "customer, product"),
    ],
)
def test_a_wrong_path_is_refused_with_what_to_write(object: str, path: str, word: str) -> None:
    """The hint names what was probably meant."""
    with pytest.raises(SettingsError) as refused:
        check_path(object, path)
    assert word in refused.value.hint


def test_events_are_those_of_the_mapped_objects() -> None:
    """Each object has its three kinds of event, and their names begin with its own."""
    assert event_types(["customer"]) == ("customer.created", "customer.updated", "customer.deleted")
    assert len(event_types(list(OBJECTS))) == 6
    for name, described in OBJECTS.items():
        assert all(kind.startswith(f"{name}.") for kind in described.events)
        assert described.name == name


def test_whole_hashes_and_filters_are_fields() -> None:
    """A table names nothing that it does not describe."""
    for described in OBJECTS.values():
        assert all(root in described.by_path and described.members(root) for root in described.whole)
        assert all(path in described.by_path for path in described.list_filters)
        if described.archive is not None:
            assert all(path in described.by_path for path in described.archive.sets)
