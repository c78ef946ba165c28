"""JSON from outside: what is taken is exact, what is refused is refused with a reason."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.api.documents import NotJson, read_object, render
from bothways.model.values import Value

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values: st.SearchStrategy[Value] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(texts, values, max_size=4))
def test_what_is_taken_is_exact(document: dict[str, Value]) -> None:
    """Every JSON object comes through as it was sent, all digits of whole numbers included."""
    assert read_object(json.dumps(document).encode(), depth=32) == document
    assert json.loads(render(document)) == document


@given(st.binary(max_size=60))
def test_nothing_but_a_reason_comes_out_of_garbage(body: bytes) -> None:
    """Whatever bytes are sent: an object, or ``NotJson`` and no other error."""
    with contextlib.suppress(NotJson):
        assert isinstance(read_object(body, depth=4), dict)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"{}x", "not JSON"),
        (b"\xff{}", "not UTF-8"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b'{"a": -Infinity}', "-Infinity is no JSON value"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": 1, "a": 2}', "name 'a' twice"),
        (b'{"b": {"\\u00e4": 1, "\\u00e4": 1}}', r"'\\xe4' twice"),
        (b'{"a": "\\ud800"}', "half a surrogate"),
        (b'{"\\udfff": 1}', "half a surrogate"),
        (b'{"a": [["\\ud800"]]}', "half a surrogate"),
        (b'{"a":' * 200_000, "nested deeper"),
    ],
)
def test_what_no_record_can_be_made_of_is_refused(body: bytes, reason: str) -> None:
    """With a reason that says what is wrong."""
    with pytest.raises(NotJson, match=reason):
        read_object(body, depth=32)


def test_the_depth_is_exact() -> None:
    """``depth`` counts levels of objects and lists, the outermost one included."""
    assert read_object(b'{"a": {"b": [1]}}', depth=3) == {"a": {"b": [1]}}
    with pytest.raises(NotJson, match="deeper than 2"):
        read_object(b'{"a": {"b": [1]}}', depth=2)
    with pytest.raises(NotJson, match="deeper than 2"):
        read_object(b'{"a": {"b": []}}', depth=2)


def test_what_json_libraries_stumble_over_is_rendered() -> None:
    """Numbers beyond 64 bits and half surrogates in a stored document are no reason for an error."""
    document = {"n": 2**70, "half": "\ud800"}
    assert json.loads(render(document)) == document
