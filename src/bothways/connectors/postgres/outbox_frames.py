"""Changes from the outbox in the form that the WAL would have brought them in.

What reads the WAL's stream (``transactions.py``) then makes the messages, so that both ways of capture make the same
ones. Everything is UTF-8 bytes here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from bothways.connectors.postgres.pgoutput import EPOCH_US
from bothways.model.errors import MappingBroken

Fields = list[bytes | None]
"""A row's columns as the server prints them."""


class OutboxRow(NamedTuple):
    """One row of the outbox."""

    id: int
    xid: int
    at_us: int
    """When its transaction made its last change, microseconds since 1970."""
    operation: str
    relation: int | None
    shape: int | None
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class OutboxShape:
    """What a table looked like."""

    columns: tuple[tuple[str, int, int], ...]
    """Name, type and type modifier of each column that is shown: those that are generated are not."""
    shown: tuple[int, ...]
    """Their places among the fields of a row."""
    fields: int
    key: frozenset[int]
    """Places of the primary key's columns among those shown."""

    @classmethod
    def parse(cls, description: str) -> OutboxShape:
        """From the trigger's words."""
        found = orjson.loads(description)
        every = found["columns"]
        shown = [(place, column) for place, column in enumerate(every) if not column[4]]
        key = set(found["key"] or ())
        return cls(
            tuple((name, type_oid, modifier) for _, (_, name, type_oid, modifier, _) in shown),
            tuple(place for place, _ in shown),
            len(every),
            frozenset(n for n, (_, column) in enumerate(shown) if column[0] in key),
        )


@dataclass(frozen=True, slots=True)
class OutboxTable:
    """A table as it is called now, and what the WAL would show of its old rows."""

    schema: str
    name: str
    identity: str
    """``d`` primary key, ``n`` nothing (the key is shown), ``f`` full row, ``i`` an index."""
    identity_columns: frozenset[str]
    """Of that index."""


class Frames:
    """Collects frames. ``position`` is the tick's, which stands in for an LSN."""

    def __init__(self, position: int, now_us: int) -> None:
        self._position = position
        self._head = struct.pack(">QQq", position, position, now_us - EPOCH_US)
        self._parts: list[bytes] = []
        self.size = 0

    def take(self) -> bytes:
        """What was collected."""
        data = b"".join(self._parts)
        self._parts, self.size = [], 0
        return data

    def begin(self, row: OutboxRow) -> None:
        """A transaction starts; ``row`` is its first."""
        self._add(b"B" + struct.pack(">QqI", self._position, row.at_us - EPOCH_US, row.xid % (1 << 32)))

    def commit(self, at_us: int) -> None:
        """It ends."""
        self._add(b"C" + struct.pack(">BQQq", 0, self._position, self._position, at_us - EPOCH_US))

    def marker(self, content: str) -> None:
        """Its origin."""
        text = content.encode()
        self._add(b"M" + struct.pack(">BQ", 1, self._position) + b"bothways\0" + struct.pack(">I", len(text)) + text)

    def relation(self, oid: int, table: OutboxTable, shape: OutboxShape) -> None:
        """What the rows that follow look like."""
        identity, shown = _identity(table, shape)
        parts = [b"R", struct.pack(">I", oid), table.schema.encode(), b"\0", table.name.encode(), b"\0"]
        parts += [identity.encode(), struct.pack(">H", len(shape.columns))]
        for place, (name, type_oid, modifier) in enumerate(shape.columns):
            parts += [bytes([place in shown]), name.encode(), b"\0", struct.pack(">Ii", type_oid, modifier)]
        self._add(b"".join(parts))

    def change(self, row: OutboxRow, oid: int, table: OutboxTable, shape: OutboxShape) -> None:
        """One row's change."""
        head = struct.pack(">I", oid)
        if row.operation == "t":
            self._add(b"T" + struct.pack(">IB", 1, 0) + head)
            return
        identity, shown = _identity(table, shape)
        old = None if row.old is None else _fields(row, row.old, shape)
        new = None if row.new is None else _fields(row, row.new, shape)
        before = b""
        if old is not None:
            if identity == "f":
                before = b"O" + _tuple(old)
            elif new is None or any(old[place] != new[place] for place in shown):
                before = b"K" + _tuple([value if place in shown else None for place, value in enumerate(old)])
        if new is None:
            self._add(b"D" + head + before)
        elif old is None:
            self._add(b"I" + head + b"N" + _tuple(new))
        else:
            self._add(b"U" + head + before + b"N" + _tuple(new))

    def _add(self, message: bytes) -> None:
        frame = b"d" + struct.pack(">I", 29 + len(message)) + b"w" + self._head + message
        self._parts.append(frame)
        self.size += len(frame)


def _identity(table: OutboxTable, shape: OutboxShape) -> tuple[str, frozenset[int]]:
    """What old rows show, and in which places."""
    if table.identity == "f":
        return "f", frozenset(range(len(shape.columns)))
    if table.identity == "i":
        places = frozenset(n for n, (name, _, _) in enumerate(shape.columns) if name in table.identity_columns)
        if shape.key <= places:
            return "i", places
    return "d", shape.key


def _tuple(fields: Sequence[bytes | None]) -> bytes:
    parts = [struct.pack(">H", len(fields))]
    for field in fields:
        if field is None:
            parts.append(b"n")
        else:
            parts += (b"t", struct.pack(">I", len(field)), field)
    return b"".join(parts)


_FIELD = re.compile(rb'"((?:[^"\\]+|""|\\\\)*)"[,)]|([^,)]*)[,)]')


def read_row(text: str) -> Fields:
    """The columns of a row as PostgreSQL prints it, as ``(1,"a b",,t)``.

    https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX
    """
    data = text.encode()
    if b'"' in data:
        return [_unquoted(each[1]) if each.lastindex == 1 else each[2] or None for each in _FIELD.finditer(data, 1)]
    return [each or None for each in data[1:-1].split(b",")]


def _fields(row: OutboxRow, text: str, shape: OutboxShape) -> Fields:
    """Those that are shown."""
    fields = read_row(text)
    if len(fields) != shape.fields:
        raise MappingBroken(
            f"a change in the outbox has {len(fields)} columns, and its table had {shape.fields}: one and the same"
            " statement altered the table and its rows",
            hint=f"take it out (bothways.outbox, xid {row.xid}, id {row.id}), then run `bothways backfill`",
        )
    return [fields[place] for place in shape.shown]


def _unquoted(field: bytes) -> bytes:
    return field.replace(b'""', b'"').replace(b"\\\\", b"\\")
