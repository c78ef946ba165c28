"""Named transforms between a column's canonical value and the remote's form, each with its inverse.

Both directions raise ``ValueError`` with a message for people where a value has no counterpart.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from bothways.model.values import Value

Convert = Callable[[Value], Value]

_COUNT = re.compile(r"\s*[+-]?[0-9]{1,1000}\s*")
SHOWN = 60
"""So many characters of a value are shown where a function cannot take it."""


@dataclass(frozen=True, slots=True)
class Transform:
    """A pair of functions; ``inward(outward(x))`` is x again for every x that ``outward`` takes, but for spelling."""

    name: str
    outward: Convert
    inward: Convert


def _same(value: Value) -> Value:
    return value


def _to_text(value: Value) -> Value:
    """Metadata holds text only; what is no text is written as JSON writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("a list or an object has no text form; map it with a transform of your own")


def _to_unix(value: Value) -> Value:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{value!r} is no timestamp") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _from_unix(value: Value) -> Value:
    if value is None:
        return None
    try:
        return datetime.fromtimestamp(_count(value), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # the latter two: beyond what a date can be
        raise ValueError(f"{value!r} is no count of seconds") from None


def _to_minor(value: Value) -> Value:
    if value is None:
        return None
    try:
        minor = Decimal(str(value)) * 100
    except InvalidOperation:
        raise ValueError(f"{value!r} is no amount") from None
    if not minor.is_finite():
        raise ValueError(f"{value!r} is no amount")
    if minor != minor.to_integral_value():
        raise ValueError(f"{value!r} has more than two decimal places")
    return int(minor)


def _from_minor(value: Value) -> Value:
    if value is None:
        return None
    try:
        count = _count(value)
    except ValueError:
        raise ValueError(f"{value!r} is no count of minor units") from None
    whole, cents = divmod(abs(count), 100)
    return f"{'-' if count < 0 else ''}{whole}.{cents:02}"


def _count(value: Value) -> int:
    """A whole number, also where it came through a field that holds text only, as metadata does."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _COUNT.fullmatch(value):
        return int(value)
    raise ValueError(f"{value!r} is no whole number")


def _from_text_boolean(value: Value) -> Value:
    if value is None or isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, str) and value.strip().lower() in known:
        return known[value.strip().lower()]
    raise ValueError(f"{value!r} is neither true nor false")


def _from_text_integer(value: Value) -> Value:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    try:
        return int(str(value).strip())
    except ValueError:
        raise ValueError(f"{value!r} is no whole number") from None


AS_IS = Transform("as_is", _same, _same)
TEXT = Transform("text", _to_text, _same)
TEXT_BOOLEAN = Transform("text_boolean", _to_text, _from_text_boolean)
TEXT_INTEGER = Transform("text_integer", _to_text, _from_text_integer)
UNIX_SECONDS = Transform("unix_seconds", _to_unix, _from_unix)
MINOR_UNITS = Transform("minor_units", _to_minor, _from_minor)

NAMED = {t.name: t for t in (AS_IS, TEXT, TEXT_BOOLEAN, TEXT_INTEGER, UNIX_SECONDS, MINOR_UNITS)}


def own(names: tuple[str, str], functions: tuple[Convert, Convert]) -> Transform:
    """A pair of the user's functions, as ``module:function``: whatever one raises, it has no counterpart."""
    outward, inward = (_guarded(name, function) for name, function in zip(names, functions, strict=True))
    return Transform("|".join(names), outward, inward)


def _guarded(name: str, function: Convert) -> Convert:
    def convert(value: Value) -> Value:
        try:
            return function(value)
        except Exception as error:  # the user's code may raise anything
            shown = repr(value)
            shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
            said = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
            raise ValueError(f"{name} cannot take {shown}: {said}") from error

    return convert


def as_text(transform: Transform) -> Transform:
    """The same towards a field that holds text only: what is sent is what the field will show."""
    return Transform(transform.name, lambda value: _to_text(transform.outward(value)), transform.inward)
