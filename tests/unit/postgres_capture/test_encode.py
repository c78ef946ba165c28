"""The generated functions say the same as the general way, and leave to it what they cannot say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bothways.connectors.postgres.encode import EncodeRow, Shape, ShapeColumn, row_encoder
from bothways.connectors.postgres.fragments import fragment
from bothways.connectors.postgres.pgoutput import read_tuple
from bothways.connectors.postgres.values import ValueType, reader
from bothways.model.values import Value
from tests.unit.postgres_capture import wire

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["", "n", "nn", "t", "tn", "Johann", "Berlin", 'a "quoted"\\ text\n', "\x7f\x80é😀", "x" * 300 + "n", "y" * 70_000]
)
DATE = st.dates().map(str) | st.sampled_from(["infinity", "-infinity", "0044-03-15 BC", "12026-01-01"])
CLOCK = st.times().map(str)


def _float_text(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return str(number).removesuffix(".0")


@dataclass(frozen=True)
class Type:
    """A type of PostgreSQL's and texts that its output function prints."""

    oid: int
    texts: st.SearchStrategy[str]
    element: int = 0
    as_text: bool = False
    """The topic shows the text as it is: JSON."""

    @property
    def value_type(self) -> ValueType:
        return ValueType.of(self.oid, self.element)

    def value(self, text: str) -> Value:
        """What the topic must show."""
        return text if self.as_text else reader(self.value_type)(text)


INTEGER = Type(20, st.integers(-(2**63), 2**63 - 1).map(str))
TYPES = [
    INTEGER,
    Type(25, TEXT),
    Type(16, st.sampled_from("tf")),
    Type(701, st.floats().map(_float_text)),
    Type(1700, st.decimals(allow_infinity=False).map(str).filter(lambda t: "E" not in t) | st.just("Infinity")),
    Type(1082, DATE),
    Type(1083, CLOCK),
    Type(1114, st.builds("{} {}".format, DATE, CLOCK)),
    Type(1184, st.builds("{} {}+00".format, DATE, CLOCK) | st.just("0044-03-15 00:00:00+00 BC")),
    Type(2950, st.uuids().map(str)),
    Type(17, st.binary(max_size=30).map(lambda data: "\\x" + data.hex())),
    Type(3802, TEXT.map(lambda text: orjson.dumps([text]).decode()), as_text=True),
    Type(1007, st.lists(st.integers(-9, 99)).map(lambda found: "{" + ",".join(map(str, found)) + "}"), element=23),
]
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Type], list[str], list[str | None]]:
    """Types, names and one row of a table with an integer key first."""
    types = [INTEGER, *draw(st.lists(st.sampled_from(TYPES), max_size=8))]
    names = draw(st.lists(NAMES, min_size=len(types), max_size=len(types), unique=True))
    row = [draw(INTEGER.texts), *[draw(st.none() | each.texts) for each in types[1:]]]
    return types, names, row


def shape_of(types: list[Type], names: list[str]) -> Shape:
    """A table of these columns; the first is its key."""
    columns = [ShapeColumn(name, fragment(each.oid, each.value_type)) for name, each in zip(names, types, strict=True)]
    return Shape(tuple(columns), (0,))


def encoded(encode: EncodeRow, data: bytes) -> tuple[bytes, bytes] | None:
    """As ``Transactions`` calls it, with something before and after."""
    around = b"before" + data + b"t\0\0\0\1x"
    close = '},"op":"c","ts_ms":4}'
    source, transaction = ',"source":{"lsn":', '},"transaction":{"id":"9:8","total_order":'
    return encode(around.decode("latin-1"), 6, 6 + len(data), source, 17, transaction, 3, 2, close)


@settings(max_examples=400)
@given(tables())
@example(([INTEGER, TYPES[1], TYPES[1], TYPES[1]], ["a", "b", "c", "d"], ["1", "x", None, "an"]))
@example(([INTEGER, TYPES[1], TYPES[1], TYPES[1]], ["a", "b", "c", "d"], ["1", "xn", "a", None]))
def test_says_the_same_as_the_canonical_forms(table: tuple[list[Type], list[str], list[str | None]]) -> None:
    """Whatever names, types, nulls and texts: the general way shows the values; the generated one too, or nothing."""
    types, names, row = table
    shape = shape_of(types, names)
    data = wire.row(row)
    wanted = {
        name: None if text is None else each.value(text) for name, each, text in zip(names, types, row, strict=True)
    }
    texts, _ = read_tuple(data, 0)
    slow = shape.texts_json(texts).encode("latin-1")
    assert orjson.loads(slow) == wanted
    found = encoded(row_encoder(shape), data)
    if found is not None:
        key, value = found
        assert key == orjson.dumps({names[0]: wanted[names[0]]}) == shape.key_of(texts).shown.encode("latin-1")
        envelope = orjson.loads(value)
        rest: dict[str, object] = {
            "before": None,
            "after": wanted,
            "source": {"lsn": 17},
            "transaction": {"id": "9:8", "total_order": 3, "data_collection_order": 2},
            "op": "c",
            "ts_ms": 4,
        }
        assert envelope == rest
        assert list(envelope["after"]) == names
        assert b'"after":' + slow + b"," in value  # byte for byte, so that floats and escapes agree as well


USUAL: list[tuple[Type, str]] = [
    (INTEGER, "-7"),
    (TYPES[1], 'Jo "x" \\ é\n'),
    (TYPES[2], "f"),
    (TYPES[3], "0.14285714285714285"),
    (TYPES[4], "-12.50"),
    (TYPES[5], "2026-11-22"),
    (TYPES[6], "12:34:56.789"),
    (TYPES[7], "2026-11-22 12:34:56"),
    (TYPES[8], "2026-11-22 12:34:56.5+00"),
    (TYPES[9], "6f1c1d9e-7a0b-4c55-8d3e-000000000001"),
    (TYPES[10], "\\x00ff"),
    (TYPES[11], '{"a": 1}'),
    (TYPES[12], "{1,NULL,3}"),
]


@given(st.sets(st.integers(1, len(USUAL) - 1)))
def test_usual_rows_go_the_fast_way(nulls: set[int]) -> None:
    """Also with nulls anywhere; otherwise nothing would be gained, and nothing would tell."""
    types = [each for each, _ in USUAL]
    shape = shape_of(types, [f"c{n}" for n in range(len(types))])
    row = [None if n in nulls else text for n, (_, text) in enumerate(USUAL)]
    assert encoded(row_encoder(shape), wire.row(row)) is not None


def test_a_text_that_ends_like_a_null_is_not_guessed() -> None:
    """Beside nulls, a text that ends with n goes the general way, and texts that merely look so are told apart."""
    encode = row_encoder(shape_of([INTEGER, TYPES[1], TYPES[1]], ["id", "a", "b"]))
    assert encoded(encode, wire.row(["1", "Berlin", None])) is None
    found = encoded(encode, wire.row(["1", "Berlin", "Bonn"]))
    assert found is not None
    assert orjson.loads(found[1])["after"] == {"id": 1, "a": "Berlin", "b": "Bonn"}


def test_a_row_that_ends_early_or_late_is_not_taken() -> None:
    """The generated function takes whole tuples of its own table only."""
    encode = row_encoder(shape_of([INTEGER, TYPES[1]], ["id", "a"]))
    assert encoded(encode, wire.row(["1", "x", "y"])) is None
    assert encoded(encode, wire.row(["1"])) is None


def test_several_key_columns_stand_in_the_keys_order() -> None:
    """Not in the table's."""
    columns = shape_of([INTEGER, TYPES[1]], ["id", "shop"]).columns
    found = encoded(row_encoder(Shape(columns, (1, 0))), wire.row(["1", "é"]))
    assert found is not None
    assert found[0] == '{"shop":"é","id":1}'.encode()
