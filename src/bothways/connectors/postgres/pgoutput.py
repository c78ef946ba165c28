"""The messages of PostgreSQL's logical decoding plugin pgoutput, protocol version 1, and the frames they come in.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html. Everything here is for messages that
are few: rows, which are many, are read by the functions that ``encode.py`` generates.

A *frame* is one message of the copy stream: ``d``, its length, then ``w`` (a message of pgoutput, with its position and
the server's time before it) or ``k`` (a keep-alive).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

FRAME = struct.Struct(">BIBQ8xqBIB")
"""How a row's frame begins: ``d``, length, ``w``, position, server's time, message, relation, kind of tuple."""
FRAME_HEAD = 5
"""Bytes before a frame's body: ``d`` and the length (which counts itself, but not the ``d``)."""
BODY = 30
"""Where pgoutput's message begins in a ``w`` frame."""
INSERT_TUPLE = 36
"""Where the tuple (its number of columns) begins in the frame of an insert, or of an update without an old tuple."""
PADDING = bytes(FRAME.size)
"""Follows the data that are unpacked, so that ``FRAME`` never reaches over their end."""

EPOCH_US = 946_684_800_000_000
"""2000-01-01, from which the server counts its microseconds, in microseconds since 1970."""

UNCHANGED = "\0unchanged"
"""Stands in a tuple for a large value that the server left out because the update did not touch it.

No text of PostgreSQL's holds a NUL character, so it is none.
"""

Tuple = list[str | None]
"""A row's columns as the server prints them, each byte of their UTF-8 as one character (latin-1); or ``UNCHANGED``."""

_BEGIN = struct.Struct(">QqI")
_COMMIT = struct.Struct(">BQQq")
_MARKER = struct.Struct(">BQ")
_KEEPALIVE = struct.Struct(">QqB")
_STATUS = struct.Struct(">cIcQQQqB")
_SHORT = struct.Struct(">H").unpack_from
_LONG = struct.Struct(">I").unpack_from
_TYPE = struct.Struct(">Ii").unpack_from


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction starts."""

    commit_lsn: int
    committed_us: int
    """Microseconds since 1970."""
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction ends."""

    end_lsn: int
    """The position after it: what is acknowledged."""
    committed_us: int


@dataclass(frozen=True, slots=True)
class RelationColumn:
    """A column of a relation."""

    name: str
    type: int
    """Object id of its type."""
    identifies: bool
    """It is part of the replica identity."""
    modifier: int = -1
    """The type's length, precision, scale; -1 where there is none."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What the rows that follow look like; sent before the first row and after each change of the table."""

    oid: int
    schema: str
    name: str
    identity: str
    """``d`` primary key, ``n`` nothing, ``f`` full row, ``i`` an index."""
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True, slots=True)
class Marker:
    """What ``pg_logical_emit_message`` was given."""

    transactional: bool
    prefix: str
    content: bytes


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The server is there, and has sent all that it wants to send up to this position."""

    wal_end: int
    wants_reply: bool


def begin(body: bytes) -> Begin:
    """``B``."""
    lsn, time, xid = _BEGIN.unpack_from(body, 1)
    return Begin(lsn, time + EPOCH_US, xid)


def commit(body: bytes) -> Commit:
    """``C``."""
    _, _, end, time = _COMMIT.unpack_from(body, 1)
    return Commit(end, time + EPOCH_US)


def relation(body: bytes) -> Relation:
    """``R``."""
    (oid,) = _LONG(body, 1)
    schema, at = _string(body, 5)
    name, at = _string(body, at)
    identity = chr(body[at])
    (count,) = _SHORT(body, at + 1)
    at += 3
    columns: list[RelationColumn] = []
    for _ in range(count):
        identifies = bool(body[at] & 1)
        column, at = _string(body, at + 1)
        type_oid, modifier = _TYPE(body, at)
        columns.append(RelationColumn(column, type_oid, identifies, modifier))
        at += 8
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns))


def truncate(data: bytes, at: int) -> Sequence[int]:
    """``T``, which begins there: the relations' object ids."""
    (count,) = _LONG(data, at + 1)
    return struct.unpack_from(f">{count}I", data, at + 6)


def marker(body: bytes) -> Marker:
    """``M``."""
    flags, _ = _MARKER.unpack_from(body, 1)
    prefix, at = _string(body, 10)
    (length,) = _LONG(body, at)
    return Marker(bool(flags & 1), prefix, body[at + 4 : at + 4 + length])


def keep_alive(body: bytes) -> KeepAlive:
    """``k``."""
    end, _, wants_reply = _KEEPALIVE.unpack_from(body, 1)
    return KeepAlive(end, bool(wants_reply))


def status(confirmed_lsn: int, now_us: int) -> bytes:
    """The frame that acknowledges everything up to a position. ``now_us``: microseconds since 1970."""
    return _STATUS.pack(b"d", 38, b"r", confirmed_lsn, confirmed_lsn, confirmed_lsn, now_us - EPOCH_US, 0)


def read_tuple(data: bytes, at: int) -> tuple[Tuple, int]:
    """A tuple and where it ends. The general way: for whatever the generated functions leave."""
    (count,) = _SHORT(data, at)
    at += 2
    columns: Tuple = []
    for _ in range(count):
        kind = data[at]
        at += 1
        if kind == _TEXT:
            (length,) = _LONG(data, at)
            at += 4 + length
            columns.append(data[at - length : at].decode("latin-1"))
        elif kind == _NULL:
            columns.append(None)
        elif kind == _LEFT_OUT:
            columns.append(UNCHANGED)
        else:
            raise ValueError(f"a column of the unknown kind {chr(kind)!r} in a row of the replication stream")
    return columns, at


_TEXT, _NULL, _LEFT_OUT = b"tnu"


def _string(body: bytes, at: int) -> tuple[str, int]:
    end = body.index(0, at)
    return body[at:end].decode(), end + 1
