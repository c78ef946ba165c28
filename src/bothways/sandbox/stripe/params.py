"""Stripe's form encoding: ``a[b][c]=…`` for hashes, ``a[]=…`` and ``a[0]=…`` for arrays.

Which of the two a numbered key means is the field's to say: ``a[0]=x`` is kept as a hash whose key is ``"0"``.
"""

from __future__ import annotations

from urllib.parse import unquote_plus

from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.words import Raw, RawParams

MOST_PAIRS = 2_000
MOST_DEPTH = 12


def decode(encoded: bytes) -> RawParams:
    """The parameters of a body or a query string. Raises ``ApiError`` 400 for what cannot be read."""
    params: RawParams = {}
    if not encoded:
        return params
    pairs = encoded.split(b"&")
    if len(pairs) > MOST_PAIRS:
        raise ApiError(400, f"Too many parameters: at most {MOST_PAIRS} can be sent.")
    for pair in pairs:
        if pair:
            name, _, value = pair.partition(b"=")
            _put(params, _path(_text(name)), _text(value))
    return params


def _text(encoded: bytes) -> str:
    try:
        text = encoded.decode("ascii")
        plain = unquote_plus(text, errors="strict") if "%" in text or "+" in text else text
    except UnicodeDecodeError as error:
        raise ApiError(400, "Invalid UTF-8 in the request's parameters.") from error
    if "\x00" in plain:
        raise ApiError(400, "Parameters cannot hold null bytes.")
    return plain


def _path(name: str) -> list[str]:
    """``a[b][]`` → ``["a", "b", ""]``."""
    if "[" not in name:
        return [name]
    head, _, rest = name.partition("[")
    if not head or not rest.endswith("]"):
        raise ApiError(400, f"Invalid parameter name: {name[:100]}", param=name[:100])
    parts = [head, *rest[:-1].split("][")]
    if len(parts) > MOST_DEPTH or any("[" in part or "]" in part for part in parts):
        raise ApiError(400, f"Invalid parameter name: {name[:100]}", param=name[:100])
    return parts


def _put(params: RawParams, path: list[str], value: str) -> None:
    """Put one pair into its place. Raises where a name is used as two kinds of thing."""
    place: dict[str, Raw] = params
    for depth, part in enumerate(path[:-1]):
        following = path[depth + 1]
        if following == "":
            _append(place, part, path[depth + 2 :], value)
            return
        inner = place.setdefault(part, {})
        if not isinstance(inner, dict):
            raise _mixed(path)
        place = inner
    if isinstance(place.get(path[-1], ""), dict | list):
        raise _mixed(path)
    place[path[-1]] = value


def _append(place: dict[str, Raw], name: str, rest: list[str], value: str) -> None:
    """``name[]=value``, or ``name[][field]=value``: a field that the last element has begins a new one."""
    items = place.setdefault(name, [])
    if not isinstance(items, list):
        raise _mixed([name])
    if not rest:
        items.append(value)
        return
    last = items[-1] if items else None
    if not isinstance(last, dict) or _has(last, rest):
        last = {}
        items.append(last)
    _put(last, rest, value)


def _has(place: dict[str, Raw], path: list[str]) -> bool:
    found: Raw = place
    for part in path:
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def _mixed(path: list[str]) -> ApiError:
    name = path[0] + "".join(f"[{part}]" for part in path[1:])
    return ApiError(400, f"Invalid parameter: {name[:100]} is given as a value and as a hash or array.", param=path[0])


def from_json(value: object) -> Raw:
    """JSON as a client would have encoded it: null is '', numbers and booleans are text. Raises ``ValueError``."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return value
        case list():
            return [from_json(item) for item in value]
        case dict():
            return {str(name): from_json(item) for name, item in value.items()}
        case _:
            raise ValueError(f"no parameter can be a {type(value).__name__}")
