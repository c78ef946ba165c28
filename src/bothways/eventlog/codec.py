"""Changes as messages: Debezium's envelope in JSON, with what is ours in headers.

Whatever form the messages were written in (``form.py``), they are read here; nobody has to say which it is.

A catalogue topic's key is the primary key as compact JSON in key-column order; its value is the envelope ``{before,
after, source, op, ts_ms, transaction}`` with the values in their canonical form (``model/values.py``). A changed key is
a deletion of the old one that names the new, a tombstone, and a creation of the new one that names the old. With
schemas, each is the payload beside its schema; in Debezium's encoding, keys of some types look otherwise than links
know them, and then headers carry them as links do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

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
KEY = "bothways.key"
"""The primary key as ``RecordId.key`` has it, where the message's own key has the values in another form."""
MOVED_TO = "bothways.newkey"
"""The same for ``NEW_KEY``."""
MOVED_FROM = "bothways.oldkey"
"""The same for ``OLD_KEY``."""
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
    envelope = payload(delivered.value)
    try:
        return Change(
            entity=entity,
            key=_record_key(delivered),
            operation=Operation(envelope["op"]),
            before=envelope["before"],
            after=envelope["after"],
            origin=_text(delivered.header(ORIGIN)),
            cause=_text(delivered.header(CAUSE)),
            position=Position.parse(position.decode()),
            committed_ms=envelope["source"]["ts_ms"],
            moved_to=_text(delivered.header(MOVED_TO)) or _key(delivered.header(NEW_KEY)),
            moved_from=_text(delivered.header(MOVED_FROM)) or _key(delivered.header(OLD_KEY)),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the message {_place(delivered)} is no change event: {error!r}") from error


def payload(document: bytes) -> Any:
    """A message's key or value, parsed, without the schema that may stand around it. Raises ``ValueError``."""
    found = orjson.loads(document)
    return found["payload"] if has_schema(document, found) else found


def has_schema(document: bytes, parsed: object = None) -> bool:
    """Whether a key or value stands beside its schema. A key may well have columns of these names: a schema tells more.

    ``parsed``: the same, where the caller has it.
    """
    if not document.startswith(b'{"schema":'):
        return False
    found = orjson.loads(document) if parsed is None else parsed
    if not isinstance(found, dict) or found.keys() != {"schema", "payload"}:
        return False
    schema = found["schema"]
    return "type" in schema if isinstance(schema, dict) else schema is None


def _record_key(delivered: Delivered) -> str | None:
    canonical = delivered.header(KEY)
    if canonical is not None:
        return canonical.decode()
    key = delivered.key
    if key is None or key == NO_KEY.encode():
        return None
    return _key(key) if key.startswith(b'{"schema":') else key.decode()


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


def _key(document: bytes | None) -> str | None:
    """A key, with its schema or without; None also for that of a truncate."""
    columns = None if document is None else payload(document)
    if columns is not None and not isinstance(columns, dict):
        raise TypeError("a key is an object")
    return None if columns is None else key_text(columns)


def _place(delivered: Delivered) -> str:
    return f"{delivered.topic}/{delivered.partition}@{delivered.offset}"
