"""What is written as the protocol says is read as it was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.connectors.postgres import pgoutput
from bothways.connectors.postgres.pgoutput import UNCHANGED, Relation, RelationColumn
from tests.unit.postgres_capture import wire

LSN = st.integers(0, 2**64 - 1)
TIME_US = st.integers(0, 2**52)
OID = st.integers(1, 2**32 - 1)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
RELATION = st.builds(
    Relation,
    oid=OID,
    schema=TEXT.filter(bool),
    name=TEXT,
    identity=st.sampled_from("dnfi"),
    columns=st.lists(st.builds(RelationColumn, TEXT, OID, st.booleans()), max_size=20).map(tuple),
)


@given(LSN, TIME_US, OID)
def test_begin(lsn: int, time_us: int, xid: int) -> None:
    """Position, time and number of the transaction."""
    assert pgoutput.begin(wire.begin(lsn, xid, time_us)) == pgoutput.Begin(lsn, time_us, xid)


@given(LSN, LSN, TIME_US)
def test_commit(lsn: int, end: int, time_us: int) -> None:
    """The position after the transaction, which is acknowledged, and its time."""
    assert pgoutput.commit(wire.commit(lsn, end, time_us)) == pgoutput.Commit(end, time_us)


@given(RELATION)
def test_relation(described: Relation) -> None:
    """Every name, type and flag."""
    assert pgoutput.relation(wire.relation(described)) == described


def test_a_relation_without_schema_is_the_systems() -> None:
    """An empty schema stands for pg_catalog."""
    bare = Relation(1, "", "pg_class", "n", ())
    assert pgoutput.relation(wire.relation(bare)).schema == "pg_catalog"


@given(st.lists(OID, max_size=10), st.binary(max_size=40))
def test_truncate(oids: list[int], before: bytes) -> None:
    """The tables in order, wherever in the data the message begins."""
    assert list(pgoutput.truncate(before + wire.truncate(*oids), len(before))) == oids


@given(st.binary(max_size=300), TEXT, st.booleans())
def test_marker(content: bytes, prefix: str, transactional: bool) -> None:
    """Any content, byte for byte."""
    read = pgoutput.marker(wire.marker(content, prefix, transactional))
    assert read == pgoutput.Marker(transactional, prefix, content)


@given(LSN, st.booleans())
def test_keep_alive(end: int, wants_reply: bool) -> None:
    """The server's position, and whether it waits for an answer."""
    body = wire.keep_alive(end, wants_reply)[pgoutput.FRAME_HEAD :]
    assert pgoutput.keep_alive(body) == pgoutput.KeepAlive(end, wants_reply)


@given(st.lists(TEXT | st.none() | st.just(wire.TOAST), max_size=40), st.binary(max_size=20), st.binary(max_size=20))
def test_tuple(columns: list[wire.Column], before: bytes, after: bytes) -> None:
    """Texts (as latin-1), nulls and values that were left out; and where the tuple ends."""
    data = before + wire.row(columns) + after
    wanted = [
        UNCHANGED if column is wire.TOAST else column.encode().decode("latin-1") if isinstance(column, str) else None
        for column in columns
    ]
    assert pgoutput.read_tuple(data, len(before)) == (wanted, len(data) - len(after))


def test_an_unknown_kind_of_column_is_refused() -> None:
    """Rather than read past it and make up a row."""
    with pytest.raises(ValueError, match="unknown kind 'b'"):
        pgoutput.read_tuple(b"\0\1b\0\0\0\1x", 0)


@given(LSN)
def test_status_is_a_frame(lsn: int) -> None:
    """The acknowledgement is a frame of copy data whose length is right, and names the position three times."""
    frame = pgoutput.status(lsn, pgoutput.EPOCH_US + 5)
    assert frame[:1] == b"d"
    assert int.from_bytes(frame[1:5], "big") == len(frame) - 1
    assert frame[5:] == b"r" + lsn.to_bytes(8, "big") * 3 + (5).to_bytes(8, "big") + b"\0"
