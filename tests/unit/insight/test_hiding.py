"""Secrets are blotted out in every form that a message may give them."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from bothways.insight.hiding import HIDDEN, cleaner

SECRET = "p@ss w\"ord/%41'\\ü"


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"postgresql://app:{quote(SECRET, safe='')}@db/shop",
        json.dumps({"error": f"says {SECRET}!"}),
        repr({"password": SECRET}),
        f"postgresql://db/shop?password={quote(SECRET, safe='')}&x=1",
    ],
    ids=["plain", "address", "json", "repr", "query"],
)
def test_in_whatever_form(text: str) -> None:
    """As it is, as an address, JSON and Python write it."""
    said = cleaner([SECRET])(text)
    assert HIDDEN in said
    assert not [each for each in (SECRET, 'w"ord', "ss w", "ss%20w") if each in said]


def test_keys_and_logins_that_nobody_told_of() -> None:
    """What is Stripe's, by its beginning; a password in an address."""
    said = cleaner([])("Invalid key sk_live_abc123, rk_test_x1, whsec_zz9 for amqp://me:hunter2@host")
    assert said == f"Invalid key sk_live_{HIDDEN}, rk_test_{HIDDEN}, whsec_{HIDDEN} for amqp://me:{HIDDEN}@host"


def test_words_stay() -> None:
    """A secret that is short would blot out half of what is said."""
    assert cleaner(["on"])("turned on") == "turned on"
