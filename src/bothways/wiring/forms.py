"""Which transform stands between a column and a field, where the settings do not say: by the forms of both."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from bothways.sync.transforms import AS_IS, MINOR_UNITS, TEXT, TEXT_BOOLEAN, TEXT_INTEGER, UNIX_SECONDS, Transform


class Form(StrEnum):
    """What a column or a field holds, as far as a transform has to know it."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    DATE = "date"
    MOMENT = "timestamp"
    UNIX = "unix seconds"
    BYTES = "bytes"
    JSON = "json"
    LIST = "list"
    HASH = "hash"
    OTHER = "other"
    """Of a type of its own, printed as text: uuid, an enumeration, an address."""


DEFAULTS: Mapping[tuple[Form, Form], Transform] = {
    (Form.TEXT, Form.TEXT): AS_IS,
    (Form.OTHER, Form.TEXT): AS_IS,
    (Form.DATE, Form.TEXT): AS_IS,
    (Form.MOMENT, Form.TEXT): AS_IS,
    (Form.DECIMAL, Form.TEXT): AS_IS,
    (Form.BYTES, Form.TEXT): AS_IS,
    (Form.INTEGER, Form.TEXT): TEXT_INTEGER,
    (Form.BOOLEAN, Form.TEXT): TEXT_BOOLEAN,
    (Form.BOOLEAN, Form.BOOLEAN): AS_IS,
    (Form.INTEGER, Form.INTEGER): AS_IS,
    (Form.INTEGER, Form.DECIMAL): AS_IS,
    (Form.DECIMAL, Form.DECIMAL): AS_IS,
    (Form.FLOAT, Form.DECIMAL): AS_IS,
    (Form.INTEGER, Form.UNIX): AS_IS,
    (Form.DATE, Form.UNIX): UNIX_SECONDS,
    (Form.MOMENT, Form.UNIX): UNIX_SECONDS,
    (Form.LIST, Form.LIST): AS_IS,
    (Form.JSON, Form.LIST): AS_IS,
    (Form.JSON, Form.HASH): AS_IS,
}
"""(column's form, field's form) → transform. A pair that is missing needs one from the user."""

BY_HAND: Mapping[tuple[Form, Form], str] = {
    (Form.DECIMAL, Form.INTEGER): 'transform = "minor_units" if the column holds an amount',
}
"""What to write for a pair that could mean several things."""


_TEXTS = frozenset({Form.TEXT, Form.OTHER})
_NUMBERS = frozenset({Form.INTEGER, Form.DECIMAL, Form.FLOAT})
_NESTED = frozenset({Form.JSON, Form.LIST, Form.HASH})
COLUMNS: Mapping[str, frozenset[Form]] = {
    AS_IS.name: frozenset(Form),
    TEXT.name: frozenset(Form) - _NESTED,
    TEXT_BOOLEAN.name: _TEXTS | {Form.BOOLEAN},
    TEXT_INTEGER.name: _TEXTS | _NUMBERS,
    UNIX_SECONDS.name: _TEXTS | {Form.DATE, Form.MOMENT},
    MINOR_UNITS.name: _TEXTS | {Form.DECIMAL, Form.FLOAT},
}
"""Named transform → the columns that it can work with."""


def can_work(transform: Transform, column: Form, field: Form) -> bool:
    """Whether a named transform has anything to do with such a column and such a field."""
    if transform is AS_IS:
        return column not in _NESTED or field in _NESTED
    return column in COLUMNS[transform.name] and field not in _NESTED


def default_transform(column: Form, field: Form) -> Transform | None:
    """The transform of that pair; None where there is none that everybody would expect."""
    return DEFAULTS.get((column, field))


def advice(column: Form, field: Form) -> str:
    """What to write where there is no default."""
    own = 'transform = { outward = "module:function", inward = "module:function" }'
    return BY_HAND.get((column, field), f"map another column, or say how: {own}")
