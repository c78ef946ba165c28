"""Changes as messages: Debezium's envelope in JSON, with what is ours in headers.

A catalogue topic's key is the primary key as compact JSON in key-column order; its value is the envelope ``{before,
after, source, op, ts_ms, transaction}`` with the values in their canonical form (``model/values.py``). A changed key is
a deletion of the old one that names the new, a tombstone, and a creation of the new one that names the old.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import orjson

from bothways.model.change import Change, Operation, Position
from bothways.model.values import Value, Values
from bothways.ports import Delivered, Message

POSITION = "bothways.position"
"""Where the change stands in its source: ``str(Position)``. Tombstones carry it as well."""
ORIGIN = "bothways.origin"
"""The remote system whose change this is; absent for everybody else's."""
CAUSE = "bothways.cause"
"""What made the change: an event's id, a request's id."""
NEW_KEY = "__debezium.newkey"
"""On the deletion half of a changed key: the new key, JSON."""
OLD_KEY = "__debezium.oldkey"
"""On the creation half of a changed key: the old key, JSON."""
NO_KEY = "null"
"""The key of a truncate, which concerns no single record: a compacted topic takes no message without a key."""


def key_text(columns: Mapping[str, Value]) -> str:
    """A primary key as ``RecordId.key`` and the messages have it: ``{"id":7}``; columns in the order given."""
    return orjson.dumps(columns).decode()


def key_values(key: str) -> dict[str, Value]:
    """The inverse of ``key_text``. Raises ``ValueError`` for anything but a JSON object."""
    columns = orjson.loads(key)
    if not isinstance(columns, dict):
        raise ValueError(f"not a primary key: {key[:100]}")
    return columns


def encode_change(change: Change, topic: str, source: Values) -> tuple[Message, ...]:
    """The change's messages in their order: its envelope, and after a deletion the tombstone.

    ``source`` is the envelope's block of that name: which connector, server, database, table and log position.
    """
    key = (NO_KEY if change.key is None else change.key).encode()
    envelope = {
        "before": change.before,
        "after": change.after,
        "source": {**source, "ts_ms": change.committed_ms},
        "op": change.operation.value,
        "ts_ms": time.time_ns() // 1_000_000,
        "transaction": None,
    }
    headers = _headers(change)
    message = Message(topic, key, orjson.dumps(envelope), headers)
    if change.operation is Operation.DELETE:
        return message, Message(topic, key, None, headers)
    return (message,)


def decode_change(entity: str, delivered: Delivered) -> Change | None:
    """The change that a message tells of; None for a tombstone.

    Raises ``ValueError`` for what is no change of ours: no envelope, an unknown operation, no position.
    """
    if delivered.value is None:
        return None
    position = delivered.header(POSITION)
    if position is None:
        raise ValueError(f"the message {_place(delivered)} has no header {POSITION}: another program wrote it")
    envelope = orjson.loads(delivered.value)
    try:
        return Change(
            entity=entity,
            key=_record_key(delivered.key),
            operation=Operation(envelope["op"]),
            before=envelope["before"],
            after=envelope["after"],
            origin=_text(delivered.header(ORIGIN)),
            cause=_text(delivered.header(CAUSE)),
            position=Position.parse(position.decode()),
            committed_ms=envelope["source"]["ts_ms"],
            moved_to=_key(delivered.header(NEW_KEY)),
            moved_from=_key(delivered.header(OLD_KEY)),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the message {_place(delivered)} is no change event: {error!r}") from error


def _record_key(key: bytes | None) -> str | None:
    return None if key is None or key == NO_KEY.encode() else key.decode()


def _headers(change: Change) -> tuple[tuple[str, bytes], ...]:
    named = (
        (POSITION, str(change.position)),
        (ORIGIN, change.origin),
        (CAUSE, change.cause),
        (NEW_KEY, change.moved_to),
        (OLD_KEY, change.moved_from),
    )
    return tuple((name, text.encode()) for name, text in named if text is not None)


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode()


def _key(header: bytes | None) -> str | None:
    """Debezium puts the key there with its schema; ours goes without."""
    if header is None:
        return None
    columns = orjson.loads(header)
    if not isinstance(columns, dict):
        raise TypeError("a key is an object")
    if columns.keys() == {"schema", "payload"}:
        columns = columns["payload"]
    return key_text(columns)


def _place(delivered: Delivered) -> str:
    return f"{delivered.topic}/{delivered.partition}@{delivered.offset}"
