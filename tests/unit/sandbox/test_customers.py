"""Customers: what can be written, and how writes merge."""

from __future__ import annotations

import re

import pytest

from bothways.sandbox.stripe.settings import Settings
from tests.unit.sandbox.account import Account, part, refused

ADDRESS = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}


@pytest.fixture
def account() -> Account:
    """An empty account."""
    return Account()


def test_a_customer_has_stripes_shape(account: Account) -> None:
    """Exactly the fields of the published API's example; ids look like Stripe's."""
    customer = account.create("customer")
    assert set(customer) == {
        *("address", "balance", "created", "currency", "default_source", "delinquent", "description", "discount"),
        *("email", "id", "invoice_prefix", "invoice_settings", "livemode", "metadata", "name"),
        *("next_invoice_sequence", "object", "phone", "preferred_locales", "shipping", "tax_exempt", "test_clock"),
    }
    assert re.fullmatch(r"cus_[A-Za-z0-9]{14}", str(customer["id"]))
    assert customer["created"] == 1_000_000
    assert customer["livemode"] is False


def test_every_writable_field_is_shown_as_written(account: Account) -> None:
    """What was sent comes back, in the object's types."""
    customer = account.create(
        "customer",
        name="Ada",
        email="Ada@Example.org",
        phone="+44 1",
        description="first",
        balance=-500,
        tax_exempt="reverse",
        preferred_locales=["en", "fr"],
        invoice_prefix="ADA1",
        next_invoice_sequence=7,
        individual_name="Ada L",
        address={"line1": "1 Road", "city": "London"},
        shipping={"name": "Ada", "address": {"line1": "2 Road"}},
        invoice_settings={"footer": "thanks", "custom_fields": [{"name": "PO", "value": "7"}]},
        metadata={"tier": "gold"},
        tax={"validate_location": "deferred"},
    )
    assert customer["email"] == "Ada@Example.org"
    assert customer["balance"] == -500
    assert customer["next_invoice_sequence"] == 7
    assert customer["preferred_locales"] == ["en", "fr"]
    assert customer["individual_name"] == "Ada L"
    assert customer["address"] == {**ADDRESS, "line1": "1 Road", "city": "London"}
    assert customer["shipping"] == {"name": "Ada", "phone": None, "address": {**ADDRESS, "line1": "2 Road"}}
    assert part(customer, "invoice_settings", "custom_fields") == [{"name": "PO", "value": "7"}]
    assert "tax" not in customer


def test_an_update_leaves_what_it_does_not_send(account: Account) -> None:
    """Fields, parts of the address and metadata keys that are not named stay."""
    customer = account.create(
        "customer", name="Ada", address={"city": "London", "line1": "1 Road"}, metadata={"a": "1", "b": "2"}
    )
    updated = account.update(customer, address={"city": "Paris"}, metadata={"b": None, "c": "3"})
    assert updated["name"] == "Ada"
    assert updated["address"] == {**ADDRESS, "city": "Paris", "line1": "1 Road"}
    assert updated["metadata"] == {"a": "1", "c": "3"}
    assert customer["metadata"] == {"a": "1", "b": "2"}, "a shown object must not change afterwards"


def test_empty_values_unset(account: Account) -> None:
    """'' makes null, an empty list or no metadata."""
    customer = account.create(
        "customer",
        name="Ada",
        address={"city": "London"},
        metadata={"a": "1"},
        preferred_locales=["en"],
        tax_exempt="exempt",
        invoice_settings={"custom_fields": [{"name": "PO", "value": "7"}], "footer": "x"},
    )
    updated = account.update(
        customer,
        name=None,
        address=None,
        metadata=None,
        preferred_locales=None,
        tax_exempt=None,
        invoice_settings={"custom_fields": None},
    )
    assert updated["name"] is None
    assert updated["address"] is None
    assert updated["metadata"] == {}
    assert updated["preferred_locales"] == []
    assert updated["tax_exempt"] == "none"
    assert part(updated, "invoice_settings", "custom_fields") is None
    assert part(updated, "invoice_settings", "footer") == "x"


def test_shipping_is_written_as_a_whole(account: Account) -> None:
    """Its name and address must come each time; parts that do not come become null."""
    customer = account.create("customer", shipping={"name": "Ada", "phone": "1", "address": {"city": "London"}})
    with refused(400, param="shipping[name]", code="parameter_missing", message="Missing required param"):
        account.update(customer, shipping={"address": {"city": "Paris"}})
    updated = account.update(customer, shipping={"name": "Ada", "address": {"line1": "1 Road"}})
    assert updated["shipping"] == {"name": "Ada", "phone": None, "address": {**ADDRESS, "line1": "1 Road"}}


def test_empty_parts_of_an_address(account: Account) -> None:
    """Null unless the sandbox is told to keep them."""
    assert part(account.create("customer", address={"line1": ""}), "address", "line1") is None
    keeping = Account(Settings(empty_parts_kept=True))
    assert part(keeping.create("customer", address={"line1": ""}), "address", "line1") == ""


@pytest.mark.parametrize(
    ("params", "param", "code", "message"),
    [
        ({"nmae": "x"}, "nmae", "parameter_unknown", "Received unknown parameter: nmae"),
        ({"a": "1", "b": "2"}, "a", "parameter_unknown", "Received unknown parameters: a, b"),
        ({"address": {"town": "x"}}, "address[town]", "parameter_unknown", "address[town]"),
        ({"address": "London"}, "address", None, "Invalid object"),
        ({"email": "nobody"}, "email", "email_invalid", "Invalid email address: nobody"),
        ({"email": "a b@x.org"}, "email", "email_invalid", "Invalid email"),
        ({"email": "a" * 510 + "@x.org"}, "email", None, "must be at most 512 characters"),
        ({"name": "x" * 5000}, "name", None, "Invalid string: xxxx...xxxx; must be at most 256 characters"),
        ({"name": ["x"]}, "name", None, 'Invalid string: ["x"]'),
        ({"phone": "1" * 21}, "phone", None, "at most 20"),
        ({"description": "x" * 5001}, "description", None, "at most 5000"),
        ({"balance": "much"}, "balance", "parameter_invalid_integer", "Invalid integer: much"),
        ({"balance": "9" * 30}, "balance", "parameter_invalid_integer", "Invalid integer"),
        ({"next_invoice_sequence": 0}, "next_invoice_sequence", "parameter_invalid_integer", "greater than"),
        ({"tax_exempt": "maybe"}, "tax_exempt", None, "must be one of exempt, none, or reverse"),
        ({"invoice_prefix": "ab"}, "invoice_prefix", None, "uppercase"),
        ({"invoice_prefix": ""}, "invoice_prefix", "parameter_invalid_empty", "You passed an empty string"),
        ({"preferred_locales": "en"}, "preferred_locales", None, "Invalid array"),
        ({"metadata": "x"}, "metadata", None, "Invalid object"),
        ({"metadata": {"k" * 41: "v"}}, "metadata", None, "40 characters"),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", None, "a value that is 501 characters"),
        ({"metadata": {str(n): "v" for n in range(51)}}, "metadata", None, "up to 50 keys, but you've set 51"),
        ({"metadata": {"k": {"l": "v"}}}, "metadata[k]", None, "Invalid string"),
        (
            {"invoice_settings": {"custom_fields": [{"name": "n" * 41, "value": "v"}]}},
            "invoice_settings[custom_fields][0][name]",
            None,
            "at most 40",
        ),
        (
            {"invoice_settings": {"custom_fields": [{"name": "n", "value": "v"}] * 5}},
            "invoice_settings[custom_fields]",
            None,
            "at most 4",
        ),
        (
            {"invoice_settings": {"default_payment_method": "pm_1"}},
            "invoice_settings[default_payment_method]",
            "resource_missing",
            "No such PaymentMethod: 'pm_1'",
        ),
        ({"tax_id_data": [{"type": "eu_vat"}]}, "tax_id_data", None, "does not support"),
        ({"expand": ["nothing"]}, "expand", None, "This property cannot be expanded (nothing)."),
    ],
)
def test_refusals_name_the_parameter(
    account: Account, params: dict[str, object], param: str, code: str | None, message: str
) -> None:
    """A refusal says which parameter and why, as Stripe words it, and leaves nothing behind."""
    with refused(400, param=param, code=code, message=message):
        account.create("customer", **params)
    assert account.state.counts()["customer"] == 0
    assert not account.notices


def test_a_deleted_customer_is_a_stub_for_ever(account: Account) -> None:
    """It can be retrieved as deleted; it is in no list, and takes no update and no second deletion."""
    customer = account.create("customer")
    stub = {"id": customer["id"], "object": "customer", "deleted": True}
    assert account.delete(customer) == stub
    assert account.retrieve("customer", str(customer["id"])) == stub
    assert account.list("customer")["data"] == []
    with refused(404, code="resource_missing", param="id", message=f"No such customer: '{customer['id']}'"):
        account.update(customer, name="x")
    with refused(404, code="resource_missing"):
        account.delete(customer)


def test_an_unknown_customer_is_missing(account: Account) -> None:
    """404, with Stripe's words."""
    with refused(404, code="resource_missing", message="No such customer: 'cus_1'"):
        account.retrieve("customer", "cus_1")


def test_a_sandbox_that_normalises() -> None:
    """E-mails in lower case, names trimmed; a name of blanks is no name."""
    account = Account(Settings(normalise=True))
    customer = account.create("customer", email=" Ada@Example.ORG ", name="  Ada ")
    assert (customer["email"], customer["name"]) == ("ada@example.org", "Ada")
    assert account.update(customer, name="   ")["name"] is None
    with refused(400, param="name", code="parameter_invalid_empty"):
        account.create("product", name="  ")
