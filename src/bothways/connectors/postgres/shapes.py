"""A table's shape in the form that the settings ask for: how each column's text becomes JSON, and its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import orjson

from bothways.connectors.postgres.debezium import Special, special
from bothways.connectors.postgres.encode import Frame, Shape, ShapeColumn
from bothways.connectors.postgres.envelope import Place
from bothways.connectors.postgres.fragments import Fragment, fragment
from bothways.connectors.postgres.types import ColumnType
from bothways.connectors.postgres.values import read_array
from bothways.eventlog.form import Encoding, Form
from bothways.eventlog.schemas import (
    JSON,
    Schema,
    array,
    envelope_schema,
    key_schema,
    named,
    plain,
    source_schema,
    unavailable,
)
from bothways.model.values import Value


def shape(place: Place, types: Mapping[str, ColumnType], key: tuple[int, ...], form: Form) -> Shape:
    """Of a table whose rows have these columns, in their order; ``key`` as in ``Shape``."""
    columns = tuple(_column(name, found, form) for name, found in types.items())
    named_types = list(types.items())
    canonical = None
    if form.encoding is Encoding.DEBEZIUM and any(special(named_types[n][1]) for n in key):
        canonical = tuple(fragment(named_types[n][1].oid, named_types[n][1].value).convert for n in key)
    return Shape(columns, key, _frame(place, types, key, form), canonical)


def schema_of(type: ColumnType, encoding: Encoding) -> Schema:
    """Of a column's value."""
    if type.element:
        return array(schema_of(type.of_elements, encoding))
    found = special(type) if encoding is Encoding.DEBEZIUM else None
    if found is not None:
        return found.schema
    if type.labels:
        return named("string", "io.debezium.data.Enum", allowed=",".join(type.labels))
    return _SCHEMAS[encoding].get(type.oid, plain("string"))


def _column(name: str, type: ColumnType, form: Form) -> ShapeColumn:
    readable = fragment(type.oid, type.value)
    if form == Form():
        return ShapeColumn(name, readable)
    left_out = orjson.dumps(unavailable(schema_of(type, form.encoding))).decode()
    if form.encoding is Encoding.READABLE:
        return ShapeColumn(name, readable, left_out)
    return ShapeColumn(name, _in_debeziums_form(type) or readable, left_out)


def _in_debeziums_form(type: ColumnType) -> Fragment | None:
    found = special(type.of_elements if type.element else type)
    if found is None:
        return None
    read = _reading_array(found) if type.element else found.read
    # Texts of these types hold small letters in values like "infinity" only, which go the general way.
    return Fragment(r"([^\0nt]*)", "{{convert_{0}({0})}}", False, _converter(read))


def _reading_array(element: Special) -> Callable[[str], Value]:
    return lambda text: read_array(text, element.read)


def _converter(read: Callable[[str], Value]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        value = read(text)
        if type(value) is int:
            return str(value)
        return orjson.dumps(value).decode("latin-1")

    return convert


# ------------------------------------------------------------------------------------------- around keys and values


def _frame(place: Place, types: Mapping[str, ColumnType], key: Sequence[int], form: Form) -> Frame:
    lsn = '{lsn}\\"]","lsn":{lsn}' if form.encoding is Encoding.DEBEZIUM else "{lsn}"
    if not form.schemas:
        return Frame(lsn=lsn)
    fields = [(name, schema_of(found, form.encoding)) for name, found in types.items()]
    keys = [fields[n] for n in key]
    name = f"{place.name}.{place.schema}.{place.table}"
    described = _with_schema(key_schema(name, keys))
    source = source_schema("io.debezium.connector.postgresql.Source", _SOURCE[form.encoding], form.encoding)
    value = envelope_schema(name, fields, [field for field, _ in keys], source, form.encoding)
    return Frame(described, "}", _with_schema(value), lsn, '{"schema":null,"payload":null}')


def _with_schema(schema: bytes) -> str:
    return '{"schema":' + schema.decode("latin-1") + ',"payload":'


_PLACE = [("schema", plain("string")), ("table", plain("string"))]
_NUMBERS = [(name, plain("int64")) for name in ("txId", "lsn", "xmin")]
_SOURCE = {
    Encoding.READABLE: [*_PLACE, *_NUMBERS],
    Encoding.DEBEZIUM: [
        ("sequence", plain("string")),
        *_PLACE,
        *_NUMBERS,
        ("origin", plain("string")),
        ("origin_lsn", plain("int64")),
    ],
}

_ALIKE: Mapping[int, Schema] = {
    16: plain("boolean"),
    20: plain("int64"),
    21: plain("int16"),
    23: plain("int32"),
    26: plain("int64"),
    114: named("string", JSON),
    142: named("string", "io.debezium.data.Xml"),
    700: plain("float"),
    701: plain("double"),
    1184: named("string", "io.debezium.time.ZonedTimestamp"),
    2950: named("string", "io.debezium.data.Uuid"),
    3614: named("string", "io.debezium.data.Tsvector"),
    3802: named("string", JSON),
}

_SCHEMAS: Mapping[Encoding, Mapping[int, Schema]] = {
    Encoding.READABLE: {**_ALIKE, 1186: named("string", "io.debezium.time.Interval")},
    Encoding.DEBEZIUM: {**_ALIKE, 17: plain("bytes")},
}
