"""Checks of text parameters: refuse, or say nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from bothways.sandbox.stripe.errors import ApiError

EMAIL: Final = re.compile(r"[^\s@,;<>]+@[^\s@.,;<>]+(\.[^\s@.,;<>]+)+")


def check_email(text: str, path: str) -> None:
    """Something before and after one @, with a dot in what comes after."""
    if not EMAIL.fullmatch(text):
        raise ApiError(400, f"Invalid email address: {text[:512]}", code="email_invalid", param=path)


def check_url(text: str, path: str) -> None:
    """An absolute http or https address."""
    if not re.fullmatch(r"https?://[^\s/?#]+([/?#]\S*)?", text):
        raise ApiError(400, "Not a valid URL", code="url_invalid", param=path)


def matches(pattern: str, message: str) -> Callable[[str, str], None]:
    """A check by regular expression, refused with this message."""
    compiled = re.compile(pattern)

    def check(text: str, path: str) -> None:
        if not compiled.fullmatch(text):
            raise ApiError(400, message, param=path)

    return check
