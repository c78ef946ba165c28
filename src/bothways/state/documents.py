"""Links and attempts as JSON documents, and back.

The standard library's JSON, since it keeps whole numbers of any size, and escapes what a database's text may not hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from bothways.model.link import Attempt, Base, Call, Held, Link, Window
from bothways.model.record import Mark, RecordId
from bothways.model.values import Value

_encoder = json.JSONEncoder(separators=(",", ":"))


def dump(value: Value) -> str:
    """A value as compact JSON."""
    return _encoder.encode(value)


def load(text: str) -> Value:
    """The inverse of ``dump``."""
    value: Value = json.loads(text)
    return value


def dump_link(link: Link) -> str:
    """All of a link that has no column of its own."""
    return _encoder.encode({name: _plain(getattr(link, name)) for name in _LINK_FIELDS})


def load_link(text: str, **columns: Any) -> Link:
    """The link of a document and the columns beside it. A field that an older version did not know has its default."""
    return Link(**columns, **_decoded(json.loads(text), _LINK_DECODERS, _LINK_FIELDS))


def dump_attempt(attempt: Attempt) -> str:
    """An attempt."""
    return _encoder.encode(_plain(attempt))


def load_attempt(text: str) -> Attempt:
    """The inverse."""
    return _attempt(json.loads(text))


def _plain(value: Any) -> Any:
    """What JSON can say. Fields are taken as they are, and not from ``asdict``, which copies every value deeply."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    raise TypeError(f"{type(value).__name__} has no place in a document")


def _decoded(
    document: Mapping[str, Any], decoders: Mapping[str, Callable[[Any], Any]], known: frozenset[str]
) -> dict[str, Any]:
    return {
        name: decoders[name](value) if value is not None and name in decoders else value
        for name, value in document.items()
        if name in known
    }


def _attempt(document: Mapping[str, Any]) -> Attempt:
    return Attempt(**_decoded(document, _ATTEMPT_DECODERS, _ATTEMPT_FIELDS))


def _held(document: Mapping[str, Any]) -> Mapping[str, Held]:
    return {column: Held(**each) for column, each in document.items()}


_LINK_COLUMNS = frozenset({"record", "system", "token", "generation", "remote_id", "deleted", "revision", "due"})
_LINK_FIELDS = frozenset(each.name for each in fields(Link)) - _LINK_COLUMNS
_ATTEMPT_FIELDS = frozenset(each.name for each in fields(Attempt))
_ATTEMPT_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "call": Call,
    "mark": lambda each: Mark(**each),
    "record": lambda each: RecordId(**each),
}
_LINK_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "base": lambda each: Base(**each),
    "window": lambda each: Window(**each),
    "attempt": _attempt,
    "ours": lambda each: {column: tuple(keys) for column, keys in each.items()},
    "held": _held,
}
