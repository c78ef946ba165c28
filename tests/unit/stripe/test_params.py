"""Patches as parameters, objects as ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.connectors.stripe.objects import object_type
from bothways.connectors.stripe.params import (
    Params,
    archive_params,
    completed,
    put,
    read_mark,
    read_object,
    wholes,
    write_params,
)
from bothways.model.errors import CallRefused
from bothways.model.link import Call
from bothways.model.record import Mark
from bothways.model.values import Value, Values
from bothways.sync.mapping import lookup

CUSTOMER = object_type("customer")
PRODUCT = object_type("product")
MARK = Mark("here", "token", '{"id":7}')

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)


def test_dotted_paths_become_nested_parameters() -> None:
    """Fields, members of hashes and metadata keys stand where Stripe wants them."""
    patch: Values = {"name": "Ada", "address.city": "London", "address.line1": "1 High St", "metadata.tier": "gold"}
    assert write_params(CUSTOMER, Call.UPDATE, patch, None) == {
        "name": "Ada",
        "address": {"city": "London", "line1": "1 High St"},
        "metadata": {"tier": "gold"},
    }


def test_none_unsets_in_an_update_and_is_left_out_of_a_create() -> None:
    """None, an empty list and an empty hash are said with ''; a new object has them anyway."""
    patch: Values = {"name": None, "metadata.tier": None, "preferred_locales": [], "address": {}}
    emptied = {"name": "", "metadata": {"tier": ""}, "preferred_locales": "", "address": ""}
    assert write_params(CUSTOMER, Call.UPDATE, patch, None) == emptied
    assert write_params(CUSTOMER, Call.CREATE, patch, None) == {}


def test_a_create_carries_the_mark_beside_the_metadata_of_its_row() -> None:
    """The mark is read back from the object as it was written; an update leaves it alone."""
    params = write_params(CUSTOMER, Call.CREATE, {"metadata.tier": "gold"}, MARK)
    assert params["metadata"]["tier"] == "gold"
    assert read_mark({"id": "cus_1", **params}) == MARK
    assert write_params(CUSTOMER, Call.UPDATE, {"name": "Ada"}, MARK) == {"name": "Ada"}


@pytest.mark.parametrize("missing", ["bothways_installation", "bothways_link", "bothways_key"])
def test_half_a_mark_is_none(missing: str) -> None:
    """Somebody took a part of it away: then it names nothing for sure."""
    metadata = {"bothways_installation": "here", "bothways_link": "token", "bothways_key": "7"}
    del metadata[missing]
    assert read_mark({"id": "cus_1", "metadata": metadata}) is None


@pytest.mark.parametrize(
    ("name", "call", "patch"),
    [
        ("product", Call.UPDATE, {"name": None}),
        ("product", Call.UPDATE, {"active": None}),
        ("customer", Call.UPDATE, {"created": 1}),
        ("customer", Call.CREATE, {"default_source": "src_1"}),
        ("customer", Call.UPDATE, {"test_clock": "clock_1"}),
    ],
)
def test_what_stripe_cannot_take_is_refused_by_its_field(name: str, call: Call, patch: Values) -> None:
    """Nothing is sent; the field is named and the hint says what to do."""
    with pytest.raises(CallRefused) as refused:
        write_params(object_type(name), call, patch, None)
    assert refused.value.field == next(iter(patch))
    assert refused.value.hint


def test_a_hash_from_one_column_takes_away_what_it_does_not_name() -> None:
    """A JSON column stands for the whole address."""
    params = write_params(CUSTOMER, Call.UPDATE, {"address": {"city": "London"}}, None)
    assert params["address"] == {
        "city": "London",
        "line1": "",
        "line2": "",
        "state": "",
        "postal_code": "",
        "country": "",
    }
    assert write_params(CUSTOMER, Call.CREATE, {"address": {"city": "London"}}, None) == {"address": {"city": "London"}}


SHIPPED: Values = {"id": "cus_1", "shipping": {"name": "Ada", "phone": "1", "address": {"line1": "1 High St"}}}


def test_a_member_of_a_whole_hash_takes_the_others_along() -> None:
    """Stripe wants name and address with each change of shipping, so they are sent as they are."""
    patch: Values = {"shipping.phone": "2", "name": "Ada L."}
    assert wholes(CUSTOMER, patch) == ("shipping",)
    sent = write_params(CUSTOMER, Call.UPDATE, completed(CUSTOMER, patch, SHIPPED), None)
    assert sent == {"name": "Ada L.", "shipping": {"name": "Ada", "phone": "2", "address": {"line1": "1 High St"}}}
    assert wholes(CUSTOMER, {"address.city": "London", "shipping": None}) == ()


def test_a_whole_hash_without_values_is_taken_away() -> None:
    """The last value of it that goes takes the hash along."""
    patch: Values = {"shipping.name": None, "shipping.phone": None, "shipping.address.line1": None}
    assert write_params(CUSTOMER, Call.UPDATE, completed(CUSTOMER, patch, SHIPPED), None) == {"shipping": ""}


def test_an_emptied_member_of_a_whole_hash_is_said() -> None:
    """It goes whether Stripe keeps what is left out or not."""
    sent = write_params(CUSTOMER, Call.UPDATE, completed(CUSTOMER, {"shipping.phone": None}, SHIPPED), None)
    assert sent == {"shipping": {"name": "Ada", "phone": "", "address": {"line1": "1 High St"}}}


def test_an_object_is_read_with_its_document_and_mark() -> None:
    """A live object keeps all that it shows; a deleted one is gone."""
    shown = read_object({"id": "cus_1", "name": "Ada", "metadata": {}}, CUSTOMER)
    assert (shown.id, shown.gone, shown.document["name"]) == ("cus_1", False, "Ada")
    gone = read_object({"id": "cus_1", "object": "customer", "deleted": True}, CUSTOMER)
    assert (gone.id, gone.gone, gone.document) == ("cus_1", True, {})


def test_only_what_we_archived_is_gone() -> None:
    """People archive products too, and those are alive; one that they take out of the archive lives again."""
    archived = {"id": "prod_1", **archive_params(PRODUCT)}
    assert read_object(archived, PRODUCT).gone
    assert not read_object({**archived, "metadata": {}}, PRODUCT).gone
    assert not read_object({**archived, "active": True}, PRODUCT).gone


@pytest.mark.parametrize("document", [{}, {"id": ""}, {"id": 7}, {"id": None}])
def test_an_object_without_an_id_is_none(document: Values) -> None:
    """It cannot be linked to anything."""
    with pytest.raises(ValueError, match="without an id"):
        read_object(document, CUSTOMER)


@given(st.dictionaries(PATHS, st.integers() | st.none() | st.text(max_size=3), max_size=5))
def test_what_is_put_at_a_path_is_found_there(values: dict[str, Value]) -> None:
    """Unless another path runs through it, each value stands at its own path."""
    params: Params = {}
    for path, value in values.items():
        put(params, path, value)
    for path, value in values.items():
        if not any(other.startswith(f"{path}.") or path.startswith(f"{other}.") for other in values):
            assert lookup(params, path) == value
