"""PostgreSQL's text for a value, and the canonical form of it (``model/values.py``), in both directions.

The text is what a type's output function prints under ``SESSION``: a query's result in text format shows it, and so
does pgoutput. Whoever reads values, from rows or from the WAL, sets these settings and uses ``reader``.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from bothways.model.values import Value

SESSION: Mapping[str, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "client_encoding": "UTF8",
}
"""The settings that decide how values are printed."""


class Kind(Enum):
    """The types that have a form of their own; all others are the text that the database prints."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    BYTES = "bytes"
    JSON = "json"
    ARRAY = "array"
    TEXT = "text"


_KINDS = {
    16: Kind.BOOLEAN,
    17: Kind.BYTES,
    20: Kind.INTEGER,
    21: Kind.INTEGER,
    23: Kind.INTEGER,
    26: Kind.INTEGER,
    114: Kind.JSON,
    700: Kind.FLOAT,
    701: Kind.FLOAT,
    1114: Kind.TIMESTAMP,
    1184: Kind.TIMESTAMPTZ,
    3802: Kind.JSON,
}


@dataclass(frozen=True, slots=True)
class ValueType:
    """What a column holds: its kind, and of an array the elements' kind."""

    kind: Kind
    element: Kind = Kind.TEXT
    delimiter: str = ","
    """What stands between an array's elements."""

    @classmethod
    def of(cls, oid: int, element_oid: int = 0) -> ValueType:
        """From the object id of a type (of a domain: its base type), and that of an array's elements, else 0."""
        if element_oid:
            return cls(Kind.ARRAY, _KINDS.get(element_oid, Kind.TEXT), ";" if element_oid == _BOX else ",")
        return cls(_KINDS.get(oid, Kind.TEXT))


_BOX = 603
"""The one type of PostgreSQL's own whose arrays have no commas between elements: it has them inside."""


def reader(type: ValueType) -> Callable[[str], Value]:
    """The function from the database's text to the canonical form."""
    if type.kind is Kind.ARRAY:
        element, delimiter = _READERS[type.element], type.delimiter
        return lambda text: read_array(text, element, delimiter)
    return _READERS[type.kind]


def to_text(value: Value, type: ValueType) -> str | None:
    """Text that the type's input function understands, None for null.

    Raises ``ValueError`` with a message for people where the value has no such text. A text is not checked against
    the type: that is the database's part.
    """
    if value is None:
        return None
    if type.kind is Kind.JSON:
        return json.dumps(value, separators=(",", ":"))
    if type.kind is Kind.ARRAY:
        return _write_array(value, type)
    return _write_scalar(value, type.kind)


def _timestamp(text: str) -> Value:
    return text.replace(" ", "T", 1) if text[0].isdigit() else text


def _timestamptz(text: str) -> Value:
    return text.replace(" ", "T", 1).replace("+00", "Z", 1) if text[0].isdigit() else text


def _float(text: str) -> Value:
    number = float(text)
    return number if math.isfinite(number) else text


def _bytes(text: str) -> Value:
    return base64.b64encode(bytes.fromhex(text[2:])).decode()


def _json(text: str) -> Value:
    value: Value = json.loads(text)
    return value


_READERS: Mapping[Kind, Callable[[str], Value]] = {
    Kind.INTEGER: int,
    Kind.FLOAT: _float,
    Kind.BOOLEAN: lambda text: text == "t",
    Kind.TIMESTAMP: _timestamp,
    Kind.TIMESTAMPTZ: _timestamptz,
    Kind.BYTES: _bytes,
    Kind.JSON: _json,
    Kind.TEXT: str,
}


def read_array(text: str, element: Callable[[str], Value], delimiter: str = ",") -> Value:
    """An array's literal, ``{1,NULL,"a\\"b"}``, perhaps nested, perhaps with bounds before it (``[0:1]={…}``)."""
    value, _ = _read_braces(text, text.index("{"), element, delimiter)
    return value


def _read_braces(text: str, at: int, element: Callable[[str], Value], delimiter: str) -> tuple[list[Value], int]:
    items: list[Value] = []
    ends = delimiter + "}"
    at += 1
    while text[at] != "}":
        if text[at] == "{":
            item, at = _read_braces(text, at, element, delimiter)
            items.append(item)
        elif text[at] == '"':
            word, at = _read_quoted(text, at)
            items.append(element(word))
        else:
            end = at
            while text[end] not in ends:
                end += 1
            items.append(None if text[at:end] == "NULL" else element(text[at:end]))
            at = end
        if text[at] == delimiter:
            at += 1
    return items, at + 1


def _read_quoted(text: str, at: int) -> tuple[str, int]:
    letters: list[str] = []
    at += 1
    while text[at] != '"':
        if text[at] == "\\":
            at += 1
        letters.append(text[at])
        at += 1
    return "".join(letters), at + 1


def _write_array(value: Value, type: ValueType) -> str:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise ValueError(f"an array is wanted, not {_noun(value)}")
    return "{" + type.delimiter.join(_write_element(item, type) for item in value) + "}"


def _write_element(item: Value, type: ValueType) -> str:
    if item is None:
        return "NULL"
    if isinstance(item, Sequence) and not isinstance(item, str) and type.element is not Kind.JSON:
        return _write_array(item, type)
    text = to_text(item, ValueType(type.element)) or ""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write_scalar(value: Value, kind: Kind) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{_noun(value)} does not fit into a column of this type")
    if "\0" in value:
        raise ValueError("the text holds a NUL character, which PostgreSQL cannot store")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half a character (a lone surrogate)") from None
    if kind is Kind.BYTES:
        try:
            return "\\x" + base64.b64decode(value, validate=True).hex()
        except binascii.Error:
            raise ValueError("bytes are written as base64 text") from None
    return value


def _noun(value: Value) -> str:
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, Sequence) and not isinstance(value, str) else f"the value {value!r}"
