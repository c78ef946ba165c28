"""pgoutput's messages and frames as a server writes them, from the protocol's documentation."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from bothways.connectors.postgres.pgoutput import EPOCH_US, Relation, RelationColumn


class _Toast:
    """A value that the server leaves out."""


TOAST: Final = _Toast()
Column = str | None | _Toast


def text(value: str) -> bytes:
    """A string with its end."""
    return value.encode() + b"\0"


def begin(commit_lsn: int, xid: int, committed_us: int = EPOCH_US) -> bytes:
    """B: a transaction begins."""
    return struct.pack(">cQqI", b"B", commit_lsn, committed_us - EPOCH_US, xid)


def commit(commit_lsn: int, end_lsn: int, committed_us: int = EPOCH_US) -> bytes:
    """C: it has ended."""
    return struct.pack(">cBQQq", b"C", 0, commit_lsn, end_lsn, committed_us - EPOCH_US)


def relation(described: Relation) -> bytes:
    """R: what a table looks like."""
    head = b"R" + struct.pack(">I", described.oid) + text(described.schema) + text(described.name)
    columns = b"".join(
        struct.pack(">B", column.identifies) + text(column.name) + struct.pack(">Ii", column.type, -1)
        for column in described.columns
    )
    return head + described.identity.encode() + struct.pack(">H", len(described.columns)) + columns


def row(columns: Sequence[Column]) -> bytes:
    """A tuple."""
    parts = [struct.pack(">H", len(columns))]
    for column in columns:
        if column is None:
            parts.append(b"n")
        elif isinstance(column, _Toast):
            parts.append(b"u")
        else:
            parts.append(b"t" + struct.pack(">I", len(column.encode())) + column.encode())
    return b"".join(parts)


def insert(oid: int, columns: Sequence[Column]) -> bytes:
    """I: a new row."""
    return b"I" + struct.pack(">I", oid) + b"N" + row(columns)


def update(oid: int, columns: Sequence[Column], old: Sequence[Column] | None = None, kind: bytes = b"K") -> bytes:
    """U: a changed row; ``kind`` K where the old tuple has the key only, O where it has all."""
    before = b"" if old is None else kind + row(old)
    return b"U" + struct.pack(">I", oid) + before + b"N" + row(columns)


def delete(oid: int, old: Sequence[Column], kind: bytes = b"K") -> bytes:
    """D: a deleted row; ``kind`` as of an update."""
    return b"D" + struct.pack(">I", oid) + kind + row(old)


def truncate(*oids: int) -> bytes:
    """T: tables were emptied."""
    return b"T" + struct.pack(">IB", len(oids), 0) + struct.pack(f">{len(oids)}I", *oids)


def marker(content: bytes, prefix: str = "bothways", transactional: bool = True) -> bytes:
    """M: what somebody wrote into the WAL."""
    return struct.pack(">cBQ", b"M", transactional, 7) + text(prefix) + struct.pack(">I", len(content)) + content


def frame(message: bytes, lsn: int = 1, sent_us: int = EPOCH_US) -> bytes:
    """A message on the replication stream."""
    body = struct.pack(">cQQq", b"w", lsn, lsn, sent_us - EPOCH_US) + message
    return b"d" + struct.pack(">I", len(body) + 4) + body


def keep_alive(wal_end: int, wants_reply: bool = False) -> bytes:
    """A keep-alive on the replication stream."""
    body = struct.pack(">cQqB", b"k", wal_end, 0, wants_reply)
    return b"d" + struct.pack(">I", len(body) + 4) + body


CUSTOMERS = Relation(
    oid=16_400,
    schema="public",
    name="customers",
    identity="d",
    columns=(RelationColumn("id", 20, True), RelationColumn("name", 25, False), RelationColumn("notes", 25, False)),
)
"""A table for tests."""
