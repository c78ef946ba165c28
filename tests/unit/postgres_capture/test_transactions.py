"""From the replication stream to messages: order, positions, markers, what is held back, and what is not ours."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.connectors.postgres import transactions as tested
from bothways.connectors.postgres.encode import Shape, ShapeColumn
from bothways.connectors.postgres.envelope import Appendable, Place, Table
from bothways.connectors.postgres.fragments import fragment
from bothways.connectors.postgres.pgoutput import EPOCH_US, KeepAlive, Relation
from bothways.connectors.postgres.stream import Frames
from bothways.connectors.postgres.transactions import Transactions
from bothways.connectors.postgres.values import ValueType
from bothways.eventlog.codec import CAUSE, NEW_KEY, OLD_KEY, POSITION, decode_change
from bothways.model.change import Operation
from bothways.ports import Delivered
from tests.unit.postgres_capture import wire
from tests.unit.postgres_capture.wire import CUSTOMERS, TOAST

OID = CUSTOMERS.oid
MARKER = json.dumps({"origin": "stripe", "cause": "evt_1"}).encode()
MARKED = [("bothways.origin", b"stripe"), (CAUSE, b"evt_1")]
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def table_for(relation: Relation) -> Table | None:
    """``customers`` is mapped to the topic ``changes``, nothing else is."""
    if relation.name != "customers":
        return None
    columns = [ShapeColumn(c.name, fragment(c.type, ValueType.of(c.type))) for c in relation.columns]
    return Table("changes", Place("shop", "db", relation.schema, relation.name), Shape(tuple(columns), (0,)))


def read(*messages: bytes, into: Transactions | None = None) -> Transactions:
    """The stream of these messages, read at once."""
    transactions = into or Transactions("7-1", table_for)
    data = b"".join(wire.frame(message, lsn=100 + n) for n, message in enumerate(messages))
    assert transactions.read(data) == len(data)
    return transactions


def transaction(*changes: bytes, lsn: int = 1000) -> list[bytes]:
    """The messages of a transaction."""
    return [
        wire.begin(lsn, xid=9, committed_us=EPOCH_US + 5_000_000),
        wire.relation(CUSTOMERS),
        *changes,
        wire.commit(lsn, lsn + 8, EPOCH_US + 5_000_000),
    ]


def taken(*changes: bytes) -> list[Appendable]:
    """What becomes of a transaction."""
    ready = read(*transaction(*changes)).take()
    assert ready.end_lsn == 1008
    return ready.messages


def value(message: Appendable) -> dict[str, Any]:
    """The envelope."""
    assert message[2] is not None
    found: dict[str, Any] = json.loads(message[2])
    return found


def positions(messages: list[Appendable]) -> list[str]:
    """Every message carries one."""
    return [dict(headers)[POSITION].decode() for _, _, _, headers in messages]


def test_an_insert_as_debezium_shows_it() -> None:
    """The whole envelope, the key, and the position in the header."""
    (message,) = taken(wire.insert(OID, ["7", 'Ann "x"', None]))
    topic, key, _, headers = message
    assert (topic, key) == ("changes", b'{"id":7}')
    assert headers == [(POSITION, b"7-1:1000:0")]
    envelope = value(message)
    created_ms = envelope.pop("ts_ms")
    assert isinstance(created_ms, int)
    assert envelope.pop("source") == {
        "version": "0.1.0",
        "connector": "postgresql",
        "name": "shop",
        "ts_ms": (EPOCH_US + 5_000_000) // 1000,
        "ts_us": EPOCH_US + 5_000_000,
        "snapshot": "false",
        "db": "db",
        "schema": "public",
        "table": "customers",
        "txId": 9,
        "lsn": 102,
        "xmin": None,
    }
    assert envelope == {
        "before": None,
        "after": {"id": 7, "name": 'Ann "x"', "notes": None},
        "transaction": {"id": "9:1000", "total_order": 1, "data_collection_order": 1},
        "op": "c",
    }


def test_a_message_decodes_as_a_change() -> None:
    """Our own consumers read what capture writes."""
    _, key, body, headers = taken(wire.delete(OID, ["7", None, None]))[0]
    change = decode_change("customer", Delivered("changes", 0, 0, key, body, tuple(headers), 0))
    assert change is not None
    assert (change.key, change.operation, change.position.order) == ('{"id":7}', Operation.DELETE, (1000, 0))
    assert change.committed_ms == (EPOCH_US + 5_000_000) // 1000


def test_an_update_without_old_row_has_no_before() -> None:
    """As Debezium with the default replica identity."""
    envelope = value(taken(wire.update(OID, ["7", "Bob", None]))[0])
    assert (envelope["op"], envelope["before"], envelope["after"]["name"]) == ("u", None, "Bob")


def test_an_update_with_its_old_row_shows_it() -> None:
    """Replica identity full; a value that was left out of the new row is taken from the old one."""
    update = wire.update(OID, ["7", "Bob", TOAST], ["7", "Ann", "long"], b"O")
    envelope = value(taken(update)[0])
    assert envelope["before"] == {"id": 7, "name": "Ann", "notes": "long"}
    assert envelope["after"] == {"id": 7, "name": "Bob", "notes": "long"}


def test_a_value_that_was_left_out_is_said_to_be_unavailable() -> None:
    """Where no old row has it."""
    envelope = value(taken(wire.update(OID, ["7", "Bob", TOAST]))[0])
    assert envelope["after"]["notes"] == "__debezium_unavailable_value"


def test_a_deletion_is_followed_by_a_tombstone() -> None:
    """Both with the key and a position of their own."""
    deletion, tombstone = taken(wire.delete(OID, ["7", None, None]))
    assert value(deletion)["before"] == {"id": 7, "name": None, "notes": None}
    assert value(deletion)["after"] is None
    assert tombstone[:3] == ("changes", b'{"id":7}', None)
    assert positions([deletion, tombstone]) == ["7-1:1000:0", "7-1:1000:0:1"]


@pytest.mark.parametrize(("old", "kind"), [(["7", None, None], b"K"), (["7", "Ann", "x"], b"O")])
def test_a_changed_key_is_a_deletion_and_a_creation(old: list[wire.Column], kind: bytes) -> None:
    """Each names the other's key; the next change's index is the next number."""
    changed = wire.update(OID, ["8", "Ann", "x"], old, kind)
    deletion, tombstone, creation, after = taken(changed, wire.insert(OID, ["9", "", ""]))
    assert [m[1] for m in (deletion, tombstone, creation)] == [b'{"id":7}', b'{"id":7}', b'{"id":8}']
    assert dict(deletion[3])[NEW_KEY] == b'{"id":8}'
    assert dict(creation[3])[OLD_KEY] == b'{"id":7}'
    assert (value(deletion)["op"], tombstone[2], value(creation)["op"]) == ("d", None, "c")
    assert value(creation)["before"] is None
    assert positions([deletion, tombstone, creation, after]) == [
        "7-1:1000:0", "7-1:1000:0:1", "7-1:1000:0:2", "7-1:1000:1",
    ]  # fmt: skip
    assert value(after)["transaction"]["total_order"] == 3


def test_a_full_old_row_with_the_same_key_is_an_update() -> None:
    """Only the key makes it another record."""
    assert [value(m)["op"] for m in taken(wire.update(OID, ["7", "b", ""], ["7", "a", ""], b"O"))] == ["u"]


def test_truncate_is_published_with_a_key_of_no_record() -> None:
    """One message per mapped table, that a compacted topic takes; unmapped ones count in the index."""
    (message,) = taken(wire.truncate(5, OID))
    assert message[1] == b"null"
    assert (value(message)["op"], value(message)["before"], value(message)["after"]) == ("t", None, None)
    assert positions([message]) == ["7-1:1000:1"]


def test_changes_of_unmapped_tables_are_left_out_and_counted() -> None:
    """So that positions stay the same when another table is mapped later."""
    other = wire.relation(Relation(5, "public", "other", "d", CUSTOMERS.columns))
    messages = taken(other, wire.insert(5, ["1", "", ""]), wire.insert(OID, ["2", "", ""]), wire.delete(5, ["1"]))
    assert positions(messages) == ["7-1:1000:1"]
    assert value(messages[0])["transaction"] == {"id": "9:1000", "total_order": 1, "data_collection_order": 1}


def test_orders_count_per_transaction_and_per_table() -> None:
    """Slow and fast rows alike."""
    one = wire.insert(OID, ["1", "", ""])
    both = read(
        *transaction(one, wire.delete(OID, ["1", None, None]), wire.insert(OID, ["2", "", ""])),
        *transaction(wire.insert(OID, ["3", "", ""]), lsn=2000),
    ).take().messages  # fmt: skip
    orders = [value(m)["transaction"] for m in both if m[2] is not None]
    assert [each["total_order"] for each in orders] == [1, 2, 3, 1]
    assert [each["data_collection_order"] for each in orders] == [1, 2, 3, 1]
    assert positions(both) == ["7-1:1000:0", "7-1:1000:1", "7-1:1000:1:1", "7-1:1000:2", "7-1:2000:0"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_marker_counts_for_the_whole_transaction(place: int) -> None:
    """Wherever it stands in it; not for the next one."""
    changes = [wire.insert(OID, ["1", "", ""]), wire.insert(OID, ["2", "", ""])]
    changes.insert(place, wire.marker(MARKER))
    both = read(*transaction(*changes), *transaction(wire.insert(OID, ["3", "", ""]), lsn=2000)).take().messages
    assert [headers[1:] for _, _, _, headers in both] == [MARKED, MARKED, []]


def test_the_last_marker_counts() -> None:
    """One without a cause leaves none behind from the one before."""
    messages = taken(wire.marker(MARKER), wire.insert(OID, ["1", "", ""]), wire.marker(b'{"origin":"salesforce"}'))
    assert messages[0][3][1:] == [("bothways.origin", b"salesforce")]


@pytest.mark.parametrize(
    "message",
    [
        wire.marker(MARKER, prefix="other"),
        wire.marker(MARKER, transactional=False),
        wire.marker(b"not json"),
        wire.marker(b'["origin"]'),
        wire.marker(b'{"origin":7}'),
    ],
)
def test_other_peoples_messages_are_no_markers(message: bytes) -> None:
    """Anybody may write anything into the WAL; capture goes on."""
    assert taken(message, wire.insert(OID, ["1", "", ""]))[0][3][1:] == []


def test_an_open_transaction_waits_for_its_end() -> None:
    """Its rows may still get an origin; complete transactions before it go on."""
    first, second = transaction(wire.insert(OID, ["1", "", ""])), transaction(wire.insert(OID, ["2", "", ""]), lsn=2000)
    transactions = read(*first, *second[:-1])
    ready = transactions.take()
    assert ([m[1] for m in ready.messages], ready.end_lsn) == ([b'{"id":1}'], 1008)
    assert transactions.in_transaction
    read(wire.marker(MARKER), second[-1], into=transactions)
    ready = transactions.take()
    assert ([m[1] for m in ready.messages], ready.end_lsn) == ([b'{"id":2}'], 2008)
    assert ready.messages[0][3][1:] == MARKED
    assert not transactions.in_transaction


def test_a_large_transaction_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound its rows go on, with the marker if it came first; nothing of it is complete before its end."""
    monkeypatch.setattr(tested, "HELD_ROWS", 3)
    messages = transaction(wire.marker(MARKER), *[wire.insert(OID, [str(n), "", ""]) for n in range(5)])
    transactions = read(*messages[:-1])
    ready = transactions.take()
    assert (len(ready.messages), ready.end_lsn) == (5, None)
    assert all(headers[1:] == MARKED for _, _, _, headers in ready.messages)
    read(messages[-1], into=transactions)
    assert transactions.take() == tested.Taken([], 1008)


def test_large_rows_do_not_wait_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is one of memory, too."""
    monkeypatch.setattr(tested, "HELD_BYTES", 1000)
    transactions = read(*transaction(wire.insert(OID, ["1", "x" * 2000, ""]))[:-1])
    assert len(transactions.take().messages) == 1


def test_a_changed_relation_is_followed() -> None:
    """Rows after it are read by its columns."""
    columns = (*CUSTOMERS.columns[:1], CUSTOMERS.columns[2])
    narrow = wire.relation(Relation(OID, "public", "customers", "d", columns))
    messages = taken(wire.insert(OID, ["1", "a", "b"]), narrow, wire.insert(OID, ["2", "c"]))
    assert [value(m)["after"] for m in messages] == [{"id": 1, "name": "a", "notes": "b"}, {"id": 2, "notes": "c"}]


def test_a_relation_that_comes_again_is_looked_at_again() -> None:
    """It may say the same, and the table's key or the mapped columns be others all the same."""
    asked: list[str] = []

    def counting(relation: Relation) -> Table | None:
        asked.append(relation.name)
        return table_for(relation)

    transactions = Transactions("7-1", counting)
    read(*transaction(), *transaction(lsn=2000), into=transactions)
    assert asked == ["customers", "customers"]


def test_a_keep_alive_is_kept_for_the_reader() -> None:
    """The position that the server names, and whether it waits."""
    transactions = Transactions("7-1", table_for)
    transactions.read(wire.keep_alive(5000, wants_reply=True))
    assert transactions.keep_alive == KeepAlive(5000, True)


def test_an_error_of_the_server_is_raised() -> None:
    """With its SQLSTATE's exception, so that a shutdown is told from a fault."""
    body = b"SFATAL\0C57P01\0Mterminating connection\0\0"
    with pytest.raises(psycopg.errors.AdminShutdown, match="terminating connection"):
        Transactions("7-1", table_for).read(b"E" + (len(body) + 4).to_bytes(4, "big") + body)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("iud"), st.integers(0, 9), TEXT | st.none(), TEXT | st.none()), max_size=20),
    st.lists(st.integers(1, 60), min_size=1, max_size=10),
)
def test_it_does_not_matter_how_the_stream_is_cut(
    changes: list[tuple[str, int, str | None, str | None]], sizes: list[int]
) -> None:
    """In whatever pieces the bytes come, the messages are the same."""
    stream = [*transaction(*[_change(*each) for each in changes]), *transaction(lsn=2000)]
    data = b"".join(map(wire.frame, stream)) + wire.keep_alive(3000)
    whole = Transactions("7-1", table_for)
    whole.read(data)
    pieces, frames, at, turn = Transactions("7-1", table_for), Frames(), 0, 0
    messages: list[Appendable] = []
    while at < len(data):
        size = sizes[turn % len(sizes)]
        together = frames.add(data[at : at + size])
        at, turn = at + size, turn + 1
        if together is not None:
            frames.keep(together[pieces.read(together) :])
            messages += pieces.take().messages
    assert [_timeless(m) for m in messages] == [_timeless(m) for m in whole.take().messages]
    assert pieces.keep_alive == whole.keep_alive == KeepAlive(3000, False)


def _change(kind: str, key: int, name: str | None, notes: str | None) -> bytes:
    if kind == "d":
        return wire.delete(OID, [str(key), None, None])
    return (wire.insert if kind == "i" else wire.update)(OID, [str(key), name, notes])


def _timeless(message: Appendable) -> object:
    topic, key, body, headers = message
    envelope = None if body is None else {**json.loads(body), "ts_ms": 0}
    return topic, key, envelope, headers
