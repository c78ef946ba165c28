"""Columns and paths, and the transforms between them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.model.values import Value
from bothways.sync.mapping import EntityMapping, FieldMap, MarkColumn, lookup, present
from bothways.sync.transforms import (
    AS_IS,
    MINOR_UNITS,
    NAMED,
    TEXT,
    TEXT_BOOLEAN,
    TEXT_INTEGER,
    UNIX_SECONDS,
    Transform,
    as_text,
    own,
)

names = st.sampled_from(["a", "b", "c"])
documents = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=3)),
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(names, documents, max_size=3), st.lists(names, min_size=1, max_size=4))
def test_a_path_ends_where_the_document_does(document: dict[str, Value], way: list[str]) -> None:
    """``lookup`` is the value at the end of the way, or None; ``present`` says whether the document speaks of it."""
    value: Value = document
    said, on_the_way = True, True
    for name in way:
        if value is None:
            break
        if not isinstance(value, dict) or name not in value:
            said = on_the_way = False
            break
        value = value[name]
    path = ".".join(way)
    assert present(document, path) is said
    assert lookup(document, path) == (value if on_the_way else None)


def test_a_parent_that_was_null_speaks_of_its_parts() -> None:
    """An event's previous values name the whole parent when it was set from nothing."""
    assert present({"address": None}, "address.city")
    assert not present({"address": {"line1": "x"}}, "address.city")
    assert not present({}, "address.city")


def test_a_mapping_reads_all_or_what_is_there() -> None:
    """A missing field is None in a snapshot, and not said in previous values."""
    mapping = EntityMapping("customer", "stripe", "customer", (FieldMap("n", "name"), FieldMap("city", "address.city")))
    assert mapping.read({"name": "Ada"}) == {"n": "Ada", "city": None}
    assert mapping.read_present({"name": "Ada"}) == {"n": "Ada"}
    assert mapping.read_present({"address": None}) == {"city": None}


def test_a_mapping_names_all_columns_that_it_touches() -> None:
    """The column of the id and the one that marks a deletion, too."""
    fields = (FieldMap("n", "name"),)
    mark = MarkColumn("state", "gone")
    mapping = EntityMapping("customer", "stripe", "customer", fields, id_column="cus", mark_in=mark)
    assert mapping.columns() == {"n", "cus", "state"}


seconds = st.integers(0, 4_000_000_000)
cents = st.integers(-(10**12), 10**12)


@given(st.one_of(st.none(), st.text(), st.integers(), st.booleans()))
def test_as_is_changes_nothing(value: Value) -> None:
    """Neither way."""
    assert AS_IS.inward(AS_IS.outward(value)) == value


@given(st.one_of(st.none(), st.text()))
def test_text_stays_text(value: Value) -> None:
    """What is text already is not touched."""
    assert TEXT.inward(TEXT.outward(value)) == value


@given(st.one_of(st.none(), st.booleans()))
def test_a_boolean_as_text_comes_back(value: bool | None) -> None:
    """As ``true`` and ``false``."""
    assert TEXT_BOOLEAN.inward(TEXT_BOOLEAN.outward(value)) is value


@given(st.one_of(st.none(), st.integers()))
def test_a_whole_number_as_text_comes_back(value: int | None) -> None:
    """With its sign."""
    assert TEXT_INTEGER.inward(TEXT_INTEGER.outward(value)) == value


@given(seconds)
def test_seconds_come_back_from_a_timestamp(value: int) -> None:
    """The inverse holds from the remote's side for every value, from ours for whole seconds in UTC."""
    assert UNIX_SECONDS.outward(UNIX_SECONDS.inward(value)) == value


@given(cents)
def test_minor_units_come_back_from_a_decimal(value: int) -> None:
    """Exactly, however large: no binary fractions on the way."""
    shown = MINOR_UNITS.inward(value)
    assert isinstance(shown, str)
    assert MINOR_UNITS.outward(shown) == value


def test_a_timestamp_without_a_zone_is_taken_for_utc() -> None:
    """The database's ``timestamp`` has none; an offset counts where there is one."""
    assert UNIX_SECONDS.outward("1970-01-01T01:00:00") == 3600
    assert UNIX_SECONDS.outward("1970-01-01T01:00:00+01:00") == 0
    assert UNIX_SECONDS.inward(3600) == "1970-01-01T01:00:00Z"


def test_a_count_is_read_from_text() -> None:
    """Metadata holds text only: what went out there comes back."""
    assert UNIX_SECONDS.inward("1590796800") == "2020-05-30T00:00:00Z"
    assert (MINOR_UNITS.inward("1005"), MINOR_UNITS.inward("-5")) == ("10.05", "-0.05")


def test_what_is_sent_as_text_is_what_the_field_will_show() -> None:
    """Else a column whose spelling is another would seem to differ from its field for ever."""
    assert as_text(UNIX_SECONDS).outward("2020-05-30") == "1590796800"
    assert as_text(MINOR_UNITS).outward("10.05") == "1005"
    assert as_text(MINOR_UNITS).outward(None) is None


def test_a_function_that_raises_is_named_with_the_value() -> None:
    """Whatever it raises, for that value: a letter says who could not take what."""
    taken = own(("shop:out", "shop:back"), (lambda v: str(v)[0], lambda v: json.loads(str(v))))
    assert taken.outward("Ada") == "A"
    with pytest.raises(ValueError, match=r"^shop:out cannot take '': IndexError: "):
        taken.outward("")
    with pytest.raises(ValueError, match=r"^shop:back cannot take 'x{59}…: JSONDecodeError: Expecting value"):
        taken.inward("x" * 1000)


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (12, "12"), (1.5, "1.5"), ("x", "x"), (None, None)])
def test_metadata_holds_text(value: Value, text: str | None) -> None:
    """As JSON writes it."""
    assert TEXT.outward(value) == text


@pytest.mark.parametrize(
    ("transform", "outward", "value"),
    [
        (UNIX_SECONDS, True, "yesterday"),
        (UNIX_SECONDS, True, 7),
        (UNIX_SECONDS, False, "7.5"),
        (UNIX_SECONDS, False, "9" * 30),
        (UNIX_SECONDS, False, True),
        (MINOR_UNITS, True, "1.005"),
        (MINOR_UNITS, True, "much"),
        (MINOR_UNITS, True, "Infinity"),
        (MINOR_UNITS, False, "1.00"),
        (MINOR_UNITS, False, True),
        (TEXT, True, ["a"]),
        (TEXT_BOOLEAN, False, "maybe"),
        (TEXT_INTEGER, False, "1.5"),
    ],
)
def test_a_value_without_a_counterpart_is_an_error(transform: Transform, outward: bool, value: Value) -> None:
    """For people to read: it becomes a dead letter, never a wrong value on the other side."""
    with pytest.raises(ValueError, match=r"."):
        (transform.outward if outward else transform.inward)(value)


def test_nothing_stays_nothing() -> None:
    """Null goes through every transform, both ways."""
    for transform in NAMED.values():
        assert transform.outward(None) is None
        assert transform.inward(None) is None
