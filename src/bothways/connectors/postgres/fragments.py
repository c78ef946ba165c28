"""Types as capture sees them: the text that the server sends, and the JSON that the topic shows.

The canonical forms are those of ``values.py``, but for JSON columns: Debezium shows them as text, and so does the
topic. Texts are latin-1 here: one character per byte of UTF-8, so that positions count bytes and nothing is decoded in
between.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, unhexlify
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from json.encoder import encode_basestring

import orjson

from bothways.connectors.postgres.values import Kind, ValueType, reader


@dataclass(frozen=True, slots=True)
class Fragment:
    """How one column's text becomes JSON, in a form that code is generated from."""

    pattern: str
    """A regular expression for the usual texts of the type; its groups are what ``expression`` is made of.

    A text that it does not match (``NaN``, ``infinity``, a year before Christ) is left to ``convert``.
    """
    expression: str
    """The inside of an f-string's braces and what stands around them; ``{0}``, ``{1}`` are the names of the groups.

    It holds no quotation marks and no backslashes within braces: Python 3.11 takes none there.
    """
    ends_freely: bool
    """The pattern takes any character, so that it alone cannot tell where the value ends beside a null."""
    convert: Callable[[str], str]
    """The same for any text of the type, without hurry."""

    @property
    def groups(self) -> int:
        """How many groups the pattern has."""
        return re.compile(self.pattern).groups


def fragment(type_oid: int, type: ValueType) -> Fragment:
    """The fragment of a column: ``type_oid`` tells numbers, dates and identifiers from other texts."""
    pattern, expression, ends_freely = _DIRECT.get(type_oid) or _BY_KIND[type.kind]
    return Fragment(pattern, expression, ends_freely, _converter(type))


def latin(text: str) -> str:
    """Text in the form that fragments have: one character per byte of its UTF-8."""
    return text.encode().decode("latin-1")


def _converter(type: ValueType) -> Callable[[str], str]:
    if type.kind is Kind.JSON:
        return encode_basestring
    of_json = type.kind is Kind.ARRAY and type.element is Kind.JSON
    read = reader(replace(type, element=Kind.TEXT) if of_json else type)

    def convert(text: str) -> str:
        return orjson.dumps(read(text.encode("latin-1").decode())).decode("latin-1")

    return convert


def base64_of(digits: str) -> str:
    """Hexadecimal digits as base64."""
    return b2a_base64(unhexlify(digits), newline=False).decode("ascii")


HELPERS: Mapping[str, object] = {
    "quote": encode_basestring,
    "base64_of": base64_of,
    "point": ".",
    "point_zero": ".0",  # a float that happens to be whole is still a float
    "true": "true",
    "false": "false",
    "t": "t",
}
"""What expressions may name."""

_ANY = ("([^\\0]*)", "{{quote({0})}}", True)
_DATE = "([0-9-]{10})"  # years have four digits: more, or BC, is left to the general way

_DIRECT: Mapping[int, tuple[str, str, bool]] = {
    1082: (_DATE, '"{{{0}}}"', False),  # date
    1083: ("([0-9:.]+)", '"{{{0}}}"', False),  # time
    1700: ("(-?[0-9.]+)", '"{{{0}}}"', False),  # numeric
    2950: ("([0-9a-f-]{36})", '"{{{0}}}"', False),  # uuid
}

_BY_KIND: Mapping[Kind, tuple[str, str, bool]] = {
    Kind.INTEGER: ("(-?[0-9]+)", "{{{0}}}", False),
    Kind.FLOAT: ("(-?[0-9]+(?:\\.[0-9]+)?)", "{{{0} if point in {0} else {0} + point_zero}}", False),
    Kind.BOOLEAN: ("([tf])", "{{true if {0} == t else false}}", False),
    Kind.TIMESTAMP: (_DATE + " ([0-9:.]+)", '"{{{0}}}T{{{1}}}"', False),
    Kind.TIMESTAMPTZ: (_DATE + r" ([0-9:.]+)\+00", '"{{{0}}}T{{{1}}}Z"', False),
    Kind.BYTES: (r"\\x([0-9a-f]*)", '"{{base64_of({0})}}"', False),
    Kind.JSON: _ANY,
    Kind.ARRAY: ("([^\\0]*)", "{{convert_{0}({0})}}", True),
    Kind.TEXT: _ANY,
}
