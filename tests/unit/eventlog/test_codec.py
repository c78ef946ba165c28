"""Changes survive the log, and look like Debezium's to others."""

from __future__ import annotations

import dataclasses

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.eventlog.codec import (
    NEW_KEY,
    OLD_KEY,
    POSITION,
    decode_change,
    encode_change,
    key_text,
    key_values,
)
from bothways.model.change import Change, Operation, Position
from bothways.model.values import Values
from bothways.ports import Delivered, Message

SOURCE: Values = {"connector": "postgresql", "name": "bothways", "db": "shop", "table": "t", "txId": 7}
INSERT = Change(
    entity="customer",
    key='{"id":7}',
    operation=Operation.CREATE,
    before=None,
    after={"id": 7, "name": "Ada", "credit": "12.50"},
    origin=None,
    cause=None,
    position=Position("7012345/1", (1077524296, 3)),
    committed_ms=1795337051395,
)

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text()
values = st.dictionaries(st.text(min_size=1), scalars | st.lists(scalars) | st.dictionaries(st.text(), scalars))
names = st.none() | st.text(min_size=1)
keys = st.builds(
    key_text, st.dictionaries(st.text(min_size=1), st.integers(-(2**63), 2**63 - 1) | st.text(), min_size=1)
)
changes = st.builds(
    Change,
    entity=st.just("customer"),
    key=keys,
    operation=st.sampled_from([Operation.CREATE, Operation.UPDATE, Operation.READ, Operation.DELETE]),
    before=st.none() | values,
    after=st.none() | values,
    origin=names,
    cause=names,
    position=st.builds(Position, st.text("abc0123/", min_size=1), st.tuples(st.integers(0, 2**63), st.integers(0, 9))),
    committed_ms=st.integers(0, 2**45),
    moved_to=st.none() | keys,
    moved_from=st.none() | keys,
)


def lying(message: Message) -> Delivered:
    """The message as the log gives it back."""
    return Delivered(message.topic, 1, 42, message.key, message.value, message.headers, 0)


@given(changes)
def test_a_change_comes_back_as_it_was(change: Change) -> None:
    """All that a change says survives; what follows a deletion is a tombstone that knows its position, too."""
    first, *rest = encode_change(change, "changes", SOURCE)
    assert decode_change("customer", lying(first)) == change
    assert [each.value for each in rest] == ([None] if change.operation is Operation.DELETE else [])
    for tombstone in rest:
        assert decode_change("customer", lying(tombstone)) is None
        assert tombstone.key == first.key
        assert lying(tombstone).header(POSITION) == str(change.position).encode()


def test_the_value_is_debeziums_envelope() -> None:
    """Names and nesting are those of Debezium; the commit's time stands in the source block."""
    (message,) = encode_change(INSERT, "changes", SOURCE)
    envelope = orjson.loads(message.value or b"")
    assert list(envelope) == ["before", "after", "source", "op", "ts_ms", "transaction"]
    assert envelope["after"] == {"id": 7, "name": "Ada", "credit": "12.50"}
    assert envelope["source"] == {**SOURCE, "ts_ms": 1795337051395}
    assert envelope["op"] == "c"
    assert message.key == b'{"id":7}'
    assert message.headers == ((POSITION, b"7012345/1:1077524296:3"),)


def test_a_truncate_has_the_key_of_no_record() -> None:
    """It is told of, and belongs to no record; a compacted topic takes no message without a key."""
    truncate = dataclasses.replace(INSERT, key=None, operation=Operation.TRUNCATE, after=None)
    (message,) = encode_change(truncate, "changes", SOURCE)
    assert message.key == b"null"
    assert decode_change("customer", lying(message)) == truncate


def test_moved_keys_are_read_with_debeziums_schema_too() -> None:
    """Debezium wraps the key in the header with its schema; both forms name the same record."""
    wrapped = b'{"schema":{"type":"struct","fields":[]},"payload":{"id":9}}'
    (message,) = encode_change(INSERT, "changes", SOURCE)
    message = dataclasses.replace(message, headers=(*message.headers, (OLD_KEY, wrapped), (NEW_KEY, b'{"id": 3}')))
    change = decode_change("customer", lying(message))
    assert change is not None
    assert change.moved_from == '{"id":9}'
    assert change.moved_to == '{"id":3}'


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b'{"op":"c","before":null,"after":{},"source":{"ts_ms":1}}', ()),
        (b"no json", ((POSITION, b"s:1"),)),
        (b"[1]", ((POSITION, b"s:1"),)),
        (b'{"op":"x","before":null,"after":{},"source":{"ts_ms":1}}', ((POSITION, b"s:1"),)),
        (b'{"op":"c","before":null,"after":{}}', ((POSITION, b"s:1"),)),
        (b'{"op":"c","before":null,"after":{},"source":{"ts_ms":1}}', ((POSITION, b"nowhere"),)),
    ],
)
def test_what_is_no_change_of_ours_is_refused(value: bytes, headers: tuple[tuple[str, bytes], ...]) -> None:
    """Messages of others on our topic are an error that says so, never a wrong change."""
    with pytest.raises(ValueError):
        decode_change("customer", Delivered("changes", 0, 1, b'{"id":7}', value, headers, 0))


def test_keys_keep_their_columns_order() -> None:
    """The key's text is compact JSON in key-column order, and can be read back."""
    assert key_text({"tenant": "a", "id": 7}) == '{"tenant":"a","id":7}'
    assert list(key_values('{"tenant":"a","id":7}').items()) == [("tenant", "a"), ("id", 7)]
    with pytest.raises(ValueError):
        key_values("[7]")
