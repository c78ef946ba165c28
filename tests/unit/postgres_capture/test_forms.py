"""One stream in each of the four forms: what is read back is the same, and each message fits its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from bothways.connectors.postgres.encode import row_encoder
from bothways.connectors.postgres.envelope import Appendable, Place, Table
from bothways.connectors.postgres.oversize import without_largest
from bothways.connectors.postgres.pgoutput import EPOCH_US, Relation, RelationColumn, read_tuple
from bothways.connectors.postgres.resume import same_form
from bothways.connectors.postgres.shapes import shape
from bothways.connectors.postgres.transactions import Transactions
from bothways.connectors.postgres.types import ColumnType
from bothways.eventlog.codec import KEY, NEW_KEY, decode_change, payload
from bothways.eventlog.form import Encoding, Form
from bothways.model.change import Change, Operation
from bothways.ports import Delivered
from bothways.wiring.looking import seen
from tests.unit.postgres_capture import wire
from tests.unit.postgres_capture.wire import TOAST

FORMS = [Form(encoding, schemas) for encoding in Encoding for schemas in (False, True)]
AMOUNT = (10 << 16 | 2) + 4
COLUMNS = {
    "id": ColumnType(20),
    "price": ColumnType(1700, modifier=AMOUNT),
    "name": ColumnType(25),
    "photo": ColumnType(17),
    "tags": ColumnType(1009, 25),
    "at": ColumnType(1114),
    "mood": ColumnType(99_999, labels=("glad", "sad")),
    "prices": ColumnType(1231, 1700, AMOUNT),
}
RELATION = Relation(
    77, "public", "things", "d", tuple(RelationColumn(name, each.oid, name == "id") for name, each in COLUMNS.items())
)
ROW: list[str | None] = [
    "7",
    "12.50",
    'é "x" {y}',
    "\\x00ff",
    "{a,NULL}",
    "2026-11-22 12:34:56.5",
    "glad",
    "{1.50,NULL}",
]
NULLS: list[str | None] = ["8", None, None, None, None, None, None, None]
UNTOUCHED: list[wire.Column] = ["7", "1.00", TOAST, TOAST, TOAST, "2026-11-22 12:34:56", "sad", TOAST]


def messages(form: Form, key: tuple[int, ...] = (0,)) -> list[Delivered]:
    """What becomes of a transaction with changes of all kinds, as it lies on the log."""
    table = Table("things", Place("shop", "db", "public", "things"), shape(PLACE, COLUMNS, key, form), form)
    stream = [
        wire.begin(1000, xid=9, committed_us=EPOCH_US + 5_000_000),
        wire.relation(RELATION),
        wire.insert(RELATION.oid, ROW),
        wire.insert(RELATION.oid, NULLS if key == (0,) else ROW),
        wire.update(RELATION.oid, UNTOUCHED),
        wire.update(RELATION.oid, ["9", "3.00", *ROW[2:]], old=["7", "12.50", *[None] * 6]),
        wire.delete(RELATION.oid, ["9", "3.00", *[None] * 6]),
        wire.truncate(RELATION.oid),
        wire.commit(1000, 1008, EPOCH_US + 5_000_000),
    ]
    transactions = Transactions("7-1", lambda _: table, form)
    transactions.read(b"".join(wire.frame(message, lsn=100 + n) for n, message in enumerate(stream)))
    return [_delivered(message) for message in transactions.take().messages]


PLACE = Place("shop", "db", "public", "things")


def _delivered(message: Appendable) -> Delivered:
    topic, key, value, headers = message
    return Delivered(topic, 0, 0, key, value, tuple(headers), 0)


def told(found: list[Delivered]) -> list[Change | None]:
    """Without the rows, which have the form's own values."""
    decoded = [decode_change("thing", message) for message in found]
    return [None if each is None else _without_rows(each) for each in decoded]


def _without_rows(change: Change) -> Change:
    fields = {name: getattr(change, name) for name in change.__slots__}
    return Change(**{**fields, "before": None, "after": None})


@pytest.mark.parametrize("key", [(0,), (1, 0)], ids=["plain key", "key with a decimal"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_reads_back_alike(form: Form, key: tuple[int, ...]) -> None:
    """Keys, operations, positions and moves do not depend on the form that the messages were written in."""
    plain, other = told(messages(Form(), key)), told(messages(form, key))
    assert other == plain
    moved = [change for change in plain if change is not None and change.moved_to]
    assert [(change.operation, change.moved_to) for change in moved] == [
        (Operation.DELETE, '{"id":9}' if key == (0,) else '{"price":"3.00","id":9}')
    ]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_people_see_the_change(form: Form) -> None:
    """``tail`` shows what happened and the values, without schemas."""
    found = [seen(message) for message in messages(form)]
    assert [each.what for each in found[:3]] == ["created", "created", "updated"]
    assert found[0].key == '{"id":7}'
    assert found[0].changed["name"] == 'é "x" {y}'
    assert found[-1].what == "truncated"


@pytest.mark.parametrize("row", [ROW, NULLS, [*ROW[:3], None, *ROW[4:7], None]], ids=["all", "nulls", "some"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_rows_go_the_fast_way_in_every_form(form: Form, row: list[str | None]) -> None:
    """The generated function takes usual rows, with nulls and without, and says the same as the general way."""
    found = shape(PLACE, COLUMNS, (0,), form)
    data = wire.row(row)
    encoded = row_encoder(found)(data.decode("latin-1"), 0, len(data), "", 17, "", 1, 1, "")
    assert encoded is not None
    texts, _ = read_tuple(data, 0)
    assert b'"after":' + found.texts_json(texts).encode("latin-1") in encoded[1]
    assert Table("things", PLACE, found, form).key(found.key_of(texts)) == encoded[0]


def test_debeziums_values() -> None:
    """Decimals as bytes, times as numbers; what the server left out as the type allows it; the source in full."""
    found = [json.loads(message.value or b"null") for message in messages(Form(Encoding.DEBEZIUM))]
    assert found[0]["after"] == {
        "id": 7,
        "price": "BOI=",
        "name": 'é "x" {y}',
        "photo": "AP8=",
        "tags": ["a", None],
        "at": 1795350896500000,
        "mood": "glad",
        "prices": ["AJY=", None],
    }
    gone = "__debezium_unavailable_value"
    assert {name: found[2]["after"][name] for name in ("name", "photo", "tags", "prices")} == {
        "name": gone,
        "photo": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
        "tags": [gone],
        "prices": None,
    }
    for change, lsn in zip([found[0], found[2]], [102, 104], strict=True):
        assert change["source"]["sequence"] == f'[null,"{lsn}"]'
        assert change["source"]["lsn"] == lsn
        assert change["source"]["ts_ns"] == change["source"]["ts_us"] * 1000
        assert change["ts_ns"] // 1000 == change["ts_us"]


def test_a_changed_key_names_the_other() -> None:
    """Without a schema, as Debezium in Kafka Connect; links read theirs from our own header where forms differ."""
    form = Form(Encoding.DEBEZIUM, schemas=True)
    headers = [message.header(NEW_KEY) for message in messages(form)]
    assert [each for each in headers if each] == [b'{"id":9}'] * 2  # the deletion and its tombstone
    assert all(message.header(KEY) is None for message in messages(form))
    with_decimal = [m for m in messages(form, (1, 0)) if payload(m.key or b"")]
    assert [json.loads(m.header(KEY) or b"{}").keys() for m in with_decimal] == [{"price", "id"}] * len(with_decimal)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_every_message_fits_its_schema(encoding: Encoding) -> None:
    """As Kafka Connect reads it: types as declared, null only where it may be, every field named."""
    for message in messages(Form(encoding, schemas=True)):
        for document in (message.key, message.value):
            if document is not None:
                parts = orjson.loads(document)
                assert parts.keys() == {"schema", "payload"}
                if parts["schema"] is None:
                    assert parts["payload"] is None
                else:
                    fits(parts["payload"], parts["schema"], "")


JSON_TYPES: Mapping[str, Any] = {
    "int16": int, "int32": int, "int64": int, "string": str, "bytes": str, "boolean": bool, "float": float,
    "double": float, "array": list, "struct": dict,
}  # fmt: skip


def fits(value: Any, schema: Any, path: str) -> None:
    """Raise ``AssertionError`` where a value is not what its schema says."""
    if value is None:
        assert schema["optional"], f"{path} must not be null"
        return
    assert type(value) is JSON_TYPES[schema["type"]], f"{path}: {value!r} is no {schema['type']}"
    if schema["type"] == "array":
        for item in value:
            fits(item, schema["items"], f"{path}[]")
    if schema["type"] == "struct":
        fields = {field["field"]: field for field in schema["fields"]}
        assert value.keys() == fields.keys(), path
        for name, field in fields.items():
            fits(value[name], field, f"{path}.{name}")


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_values_too_large_are_left_out(form: Form) -> None:
    """A row that no log takes loses its largest values, and the rest still fits its schema."""
    value = messages(form)[0].value or b""
    smaller, left_out = without_largest(value.replace(b"AP8=", b"AAAA" * 100_000), 50_000)
    assert left_out == ["photo"]
    assert len(smaller) < 50_000
    assert payload(smaller)["after"]["name"] == 'é "x" {y}'
    if form.schemas:
        parts = orjson.loads(smaller)
        fits(parts["payload"], parts["schema"], "")


def test_other_settings_are_noticed() -> None:
    """The ends of the partitions tell whether they were written in the form that is written now."""
    for written in FORMS:
        for now in FORMS:
            assert same_form(messages(written), now) is (written == now)
    assert same_form([], Form())


def test_a_key_may_have_columns_of_these_names() -> None:
    """A primary key of the columns ``schema`` and ``payload`` is no key beside its schema."""
    columns = {"schema": ColumnType(20), "payload": ColumnType(20)}
    for form in FORMS:
        table = Table("things", PLACE, shape(PLACE, columns, (0, 1), form), form)
        key = table.key(table.shape.key_of(["1", "2"]))
        assert payload(key) == {"schema": 1, "payload": 2}
