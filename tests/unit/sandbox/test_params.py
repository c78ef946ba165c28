"""Form encoding."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.params import MOST_PAIRS, decode, from_json
from tests.unit.sandbox.account import refused

NAMES = st.text("abcdefgh_", min_size=1, max_size=5)
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=10)
NESTED = st.recursive(TEXTS, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=8)


@given(st.dictionaries(NAMES, NESTED, max_size=4))
def test_what_the_sdk_encodes_is_read_back(params: dict[str, object]) -> None:
    """Any nesting of hashes and texts survives the official SDK's encoding."""
    encoded = urlencode(list(_api_encode(params))).encode()
    assert decode(encoded) == params


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(encoded: bytes) -> None:
    """No input makes anything but parameters or a 400."""
    assert status_of(encoded) in (200, 400)


def status_of(encoded: bytes) -> int:
    """What a request with these parameters would be answered."""
    try:
        decode(encoded)
    except ApiError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("encoded", "params"),
    [
        (b"", {}),
        (b"a=1&b=", {"a": "1", "b": ""}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a[]=x&a[]=y", {"a": ["x", "y"]}),
        (b"a[0]=x&a[1]=y", {"a": {"0": "x", "1": "y"}}),
        (b"a[][n]=1&a[][v]=2&a[][n]=3&a[][v]=4", {"a": [{"n": "1", "v": "2"}, {"n": "3", "v": "4"}]}),
        (b"a%5Bb%5D%5Bc%5D=d+e%26f", {"a": {"b": {"c": "d e&f"}}}),
        (b"name=%C3%84", {"name": "Ä"}),
    ],
)
def test_forms_of_hashes_and_arrays(encoded: bytes, params: dict[str, object]) -> None:
    """Hashes, arrays by brackets and by number, and the last of two values."""
    assert decode(encoded) == params


@pytest.mark.parametrize(
    "encoded",
    [
        b"a=1&a[b]=2",
        b"a[b]=2&a=1",
        b"a[]=1&a[b]=2",
        b"a[b]=1&a[]=2",
        b"[a]=1",
        b"a[b=1",
        b"a[[b]]=1",
        b"a=%ff",
        b"a=\xff",
        b"a=%00",
        b"a" + b"[b]" * 40 + b"=1",
        b"&".join(b"a%d=1" % each for each in range(MOST_PAIRS + 1)),
    ],
)
def test_what_cannot_be_meant_is_refused(encoded: bytes) -> None:
    """One name used in two ways, broken brackets, broken UTF-8, null bytes, too much."""
    with refused(400):
        decode(encoded)


def test_json_becomes_what_a_client_would_send() -> None:
    """Null unsets, the rest is text."""
    assert from_json({"a": None, "b": True, "c": 3, "d": ["x", {"e": False}]}) == {
        "a": "",
        "b": "true",
        "c": "3",
        "d": ["x", {"e": "false"}],
    }
    with pytest.raises(ValueError, match="set"):
        from_json({"a"})
