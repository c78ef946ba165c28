"""What is read of requests to the sandbox itself, and how it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from bothways.sandbox.stripe.more_objects import DESCRIPTIONS
from bothways.sandbox.stripe.objects import Description
from bothways.sandbox.stripe.sandbox import Sandbox

Body: TypeAlias = Mapping[str, object]
Handler: TypeAlias = Callable[[Sandbox, str, Body], Awaitable[object]]
"""(sandbox, what follows the name in the path, the body or query) → what is answered. Refuses by ``ValueError``."""


def number(body: Body, name: str) -> float:
    """A number that must be there."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number")
    return float(value)


def number_or_none(body: Body, name: str) -> float | None:
    """A number, or None where there is none."""
    return None if body.get(name) is None else number(body, name)


def text(body: Body, name: str) -> str:
    """Text that must be there."""
    value = body.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text")
    return value


def whole(body: Body, name: str, default: int, most: int) -> int:
    """A whole number of a query, from 0 on."""
    value = str(body.get(name, default))
    if not (value.isascii() and value.isdigit() and len(value) <= 18 and int(value) <= most):
        raise ValueError(f"{name} must be a whole number, {most} at most")
    return int(value)


def kind_of(name: str) -> Description:
    """The kind of object of that name."""
    if name not in DESCRIPTIONS:
        raise ValueError(f"no such object: {name[:50]}; there are {', '.join(DESCRIPTIONS)}")
    return DESCRIPTIONS[name]
