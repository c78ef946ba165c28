"""Named transforms between a column's canonical value and the remote's form, each with its inverse.

Both directions raise ``ValueError`` with a message for people where a value has no counterpart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from bothways.model.values import Value

Convert = Callable[[Value], Value]


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
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no timestamp")
    moment = datetime.fromisoformat(value)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _from_unix(value: Value) -> Value:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no count of seconds")
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _to_minor(value: Value) -> Value:
    if value is None:
        return None
    try:
        minor = Decimal(str(value)) * 100
    except InvalidOperation:
        raise ValueError(f"{value!r} is no amount") from None
    if minor != minor.to_integral_value():
        raise ValueError(f"{value!r} has more than two decimal places")
    return int(minor)


def _from_minor(value: Value) -> Value:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no count of minor units")
    return str((Decimal(value) / 100).quantize(Decimal("0.01")))


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
