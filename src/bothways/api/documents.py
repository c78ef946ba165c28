"""JSON as it comes in and goes out: checked where others write it, exact where we do."""

from __future__ import annotations

import json
import math
from typing import NoReturn

import orjson

from bothways.model.values import Value


class NotJson(ValueError):
    """The text is no JSON object that a record could be made of; the message says why."""


def read_object(body: bytes, depth: int) -> dict[str, Value]:
    """The object in the body, nested at most ``depth`` levels. Raises ``NotJson``.

    Refused beyond what JSON itself refuses: a name twice in one object, NaN and Infinity, numbers beyond a float's
    range, half surrogates in text; whole numbers keep all their digits.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
    except NotJson:
        raise
    except RecursionError:
        raise NotJson(f"The body is nested deeper than {depth} levels.") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except ValueError:
        raise NotJson("The body is not JSON: a number has too many digits.") from None
    if not isinstance(value, dict):
        raise NotJson("The body must be a JSON object.")
    _check(value, depth)
    return value


def render(value: object) -> bytes:
    """The value as compact JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:  # whole numbers beyond 64 bits, half surrogates: slower, but the standard library can say them
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    made: dict[str, Value] = {}
    for name, value in pairs:
        if name in made:
            raise NotJson(f"The body has the name {name!a} twice in one object.")
        made[name] = value
    return made


def _no_constant(name: str) -> NoReturn:
    raise NotJson(f"The body is not JSON: {name} is no JSON value.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotJson("The body has a number that is too large.")
    return number


def _check(value: Value, depth: int) -> None:
    """Depth and text, level by level: no recursion, whatever was sent."""
    level: list[Value] = [value]
    for nesting in range(depth + 1):
        inner: list[Value] = []
        for each in level:
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, dict | list) and nesting == depth:
                raise NotJson(f"The body is nested deeper than {depth} levels.")
            elif isinstance(each, dict):
                inner += [*each, *each.values()]
            elif isinstance(each, list):
                inner += each
        level = inner


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise NotJson("The body has half a surrogate pair in a text.") from None
