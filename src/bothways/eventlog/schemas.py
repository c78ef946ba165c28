"""Kafka Connect's schemas in JSON: of a column's value, of a key, of Debezium's envelope.

The form is that of Connect's JsonConverter (``org.apache.kafka.connect.json.JsonSchema``), the names are those that
Debezium gives, so that its sinks know them: https://debezium.io/documentation/reference/stable/connectors/postgresql.html
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import orjson

from bothways.eventlog.form import Encoding
from bothways.model.values import Value

UNAVAILABLE = "__debezium_unavailable_value"
"""What stands for a large value that an update did not touch, where the server did not send it."""

JSON = "io.debezium.data.Json"

Schema = Mapping[str, object]
"""A schema without the name of the field that it is of."""


def plain(type: str) -> Schema:
    """One of Connect's own types: ``int32``, ``string``, ``bytes``, …"""
    return {"type": type}


def named(type: str, name: str, **parameters: str) -> Schema:
    """A type with a meaning."""
    schema: dict[str, object] = {"type": type, "name": name, "version": 1}
    return schema | {"parameters": parameters} if parameters else schema


def array(element: Schema) -> Schema:
    """A list; each of its elements may be null."""
    return {"type": "array", "items": {**element, "optional": True}}


def struct(name: str, fields: Sequence[tuple[str, Schema]], required: Sequence[str]) -> Schema:
    """An object; what is not required may be null."""
    shown = [{**schema, "optional": field not in required, "field": field} for field, schema in fields]
    return {"type": "struct", "fields": shown, "name": name}


def unavailable(schema: Schema) -> Value:
    """What Debezium shows for a large value that nobody knows, such that the schema allows it; None where none is."""
    match schema:
        case {"type": "string"}:
            return UNAVAILABLE
        case {"type": "bytes", **named} if "name" not in named:
            return base64.b64encode(UNAVAILABLE.encode()).decode()
        case {"type": "array", "items": {"type": "string" | "bytes" as element, **named}}:
            return [unavailable(plain(str(element)))] if named.get("name") in (None, JSON) else None
        case {"type": "array", "items": {"type": "int32" | "int64", **named}} if "name" not in named:
            return list(UNAVAILABLE.encode())
        case _:
            return None


def key_schema(name: str, fields: Sequence[tuple[str, Schema]]) -> bytes:
    """Of a primary key's columns. ``name``: server, schema and table, with dots."""
    return orjson.dumps({**struct(f"{name}.Key", fields, [field for field, _ in fields]), "optional": False})


def envelope_schema(
    name: str, fields: Sequence[tuple[str, Schema]], key: Sequence[str], source: Schema, encoding: Encoding
) -> bytes:
    """Of a change.

    A column that is not in the key may be null, whatever the table says: the row before a deletion shows the key only.
    """
    row = {**struct(f"{name}.Value", fields, key), "optional": True}
    parts: list[tuple[str, Schema]] = [("before", row), ("after", row), ("source", source)]
    parts += [("transaction", {**_TRANSACTION, "version": 1}), ("op", plain("string"))]
    moments = ["ts_ms", "ts_us", "ts_ns"] if encoding is Encoding.DEBEZIUM else ["ts_ms"]
    parts += [(moment, plain("int64")) for moment in moments]
    envelope = struct(f"{name}.Envelope", parts, ["source", "op"])
    return orjson.dumps({**envelope, "optional": False, "version": 1})


def source_schema(name: str, own: Sequence[tuple[str, Schema]], encoding: Encoding) -> Schema:
    """Of where a change comes from; ``own``: the fields that one kind of database has."""
    fields = [(field, plain("string")) for field in ("version", "connector", "name", "snapshot", "db")]
    moments = ["ts_ms", "ts_us", "ts_ns"] if encoding is Encoding.DEBEZIUM else ["ts_ms", "ts_us"]
    fields += [(moment, plain("int64")) for moment in moments]
    required = ["version", "connector", "name", "ts_ms", "db"]
    return {**struct(name, [*fields, *own], required), "version": 1}


_TRANSACTION = struct(
    "event.block",
    [("id", plain("string")), ("total_order", plain("int64")), ("data_collection_order", plain("int64"))],
    ["id", "total_order", "data_collection_order"],
)
