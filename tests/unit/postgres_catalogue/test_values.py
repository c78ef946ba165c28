"""Text and canonical form of values, without a server (with one: the integration tests)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.connectors.postgres.values import Kind, ValueType, reader, to_text
from bothways.model.values import Value

STORABLE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
TEXTS = ValueType(Kind.ARRAY, Kind.TEXT)
NUMBERS = ValueType(Kind.ARRAY, Kind.INTEGER)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | STORABLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STORABLE, inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.none() | STORABLE))
def test_arrays_of_any_text(items: list[str | None]) -> None:
    """What is written is read again: quotes, commas, braces, backslashes, the word NULL."""
    text = to_text(items, TEXTS)
    assert text is not None
    assert reader(TEXTS)(text) == items


@given(st.lists(st.lists(st.none() | st.integers(), min_size=1, max_size=3), max_size=3))
def test_arrays_of_arrays(items: list[Value]) -> None:
    """Nested to any depth."""
    text = to_text(items, NUMBERS)
    assert text is not None
    assert reader(NUMBERS)(text) == items


@given(st.lists(JSON))
def test_arrays_of_json(items: list[Value]) -> None:
    """A list within is a value there, and no dimension; JSON's null becomes the array's."""
    type_ = ValueType(Kind.ARRAY, Kind.JSON)
    text = to_text(items, type_)
    assert text is not None
    assert reader(type_)(text) == items


@given(st.binary())
def test_bytes(data: bytes) -> None:
    """Hexadecimal there, base64 here."""
    type_ = ValueType(Kind.BYTES)
    value = reader(type_)("\\x" + data.hex())
    assert to_text(value, type_) == "\\x" + data.hex()


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ({"a": 1}, ValueType(Kind.TEXT)),
        ([1], ValueType(Kind.INTEGER)),
        ("a\0", ValueType(Kind.TEXT)),
        ("\udfff", ValueType(Kind.TEXT)),
        ("no base64", ValueType(Kind.BYTES)),
        ("{1,2}", NUMBERS),
        ({"a": 1}, NUMBERS),
        (["a\0"], TEXTS),
        (5, TEXTS),
    ],
)
def test_values_without_a_text(value: Value, type_: ValueType) -> None:
    """Are told by a message, before anything is sent."""
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        to_text(value, type_)


def test_null_is_null_for_every_type() -> None:
    """Also for JSON, whose own null has no canonical form of its own."""
    assert [to_text(None, ValueType(kind)) for kind in Kind] == [None] * len(Kind)
    assert reader(ValueType(Kind.JSON))("null") is None
