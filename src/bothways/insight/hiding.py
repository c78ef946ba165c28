"""Secrets are blotted out of whatever a process says: its log, its error messages, its pages.

The settings' secrets are known by their text, and by the forms that addresses write them in; what looks like a key of
Stripe's or a login in an address goes in any case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
MIN_SECRET = 6
"""Shorter ones would blot out words."""
_IN_TEXT = re.compile(r"\b((?:sk|rk)_(?:test|live)_|whsec_)\w+|(?<=://)([^/\s:@]*):[^/\s@]+(?=@)")

_known: list[Callable[[str], str]] = []


def cleaner(secrets: Iterable[str]) -> Callable[[str], str]:
    """A function that blots these out of a text."""
    forms: set[str] = set()
    for secret in secrets:
        forms |= {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    known = sorted({form for form in forms if len(form) >= MIN_SECRET}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, known))) if known else None

    def clean(text: str) -> str:
        return _IN_TEXT.sub(_blot, pattern.sub(HIDDEN, text) if pattern else text)

    return clean


def learn(secrets: Iterable[str]) -> Callable[[str], str]:
    """Have ``hidden`` blot out these from now on, in place of what it knew; also gives the function."""
    _known[:] = [cleaner(secrets)]
    return _known[0]


def hidden(text: str) -> str:
    """The text without the secrets of this process."""
    return (_known[0] if _known else learn(()))(text)


def _blot(match: re.Match[str]) -> str:
    return f"{match[1]}{HIDDEN}" if match[1] else f"{match[2]}:{HIDDEN}"
