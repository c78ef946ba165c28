"""Debezium's envelope around rows, in pieces that change as seldom as possible: per stream, table, transaction, row."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import orjson

from bothways import __version__
from bothways.connectors.postgres.encode import EncodeRow, RowKey, Shape, row_encoder
from bothways.connectors.postgres.fragments import latin
from bothways.connectors.postgres.pgoutput import Begin
from bothways.eventlog.codec import CAUSE, KEY, ORIGIN
from bothways.eventlog.form import Encoding, Form

Appendable = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Topic, key, value, headers. A tuple: making a ``Message`` would take a tenth of the time that a row has."""


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that is being read."""

    xid: int
    position: str
    """The position of its changes, up to their index."""
    id: str
    committed_us: int
    previous_lsn: int | None
    """Where the last transaction that was read before it ends."""

    @classmethod
    def of(cls, begun: Begin, source: str, previous_lsn: int | None = None) -> OpenTransaction:
        """From its first message; ``source`` as in ``Position``."""
        lsn = begun.commit_lsn
        return cls(begun.xid, f"{source}:{lsn}:", f"{begun.xid}:{lsn}", begun.committed_us, previous_lsn)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table is, as ``source`` shows it."""

    name: str
    """Debezium's logical name of the server: the topics' prefix."""
    database: str
    schema: str
    table: str


@dataclass(slots=True)
class Table:
    """A mapped table as the stream shows it now; the last four fields belong to the transaction that is being read."""

    topic: str
    place: Place
    shape: Shape
    form: Form = field(default_factory=Form)
    encode: EncodeRow = field(init=False)
    serial: int = field(init=False, default=-1)
    source: str = field(init=False, default="")
    transaction: str = field(init=False, default="")
    order: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.encode = row_encoder(self.shape)
        version, name = _json(__version__), _json(self.place.name)
        self._start = f',"source":{{"version":{version},"connector":"postgresql","name":{name},"ts_ms":'
        self._middle = (
            f',"snapshot":"false","db":{_json(self.place.database)},"schema":{_json(self.place.schema)},'
            f'"table":{_json(self.place.table)},"txId":'
        )

    _start: str = field(init=False, default="")
    _middle: str = field(init=False, default="")

    def begin(self, transaction: OpenTransaction, serial: int) -> None:
        """The first row of another transaction comes."""
        time_us = transaction.committed_us
        self.serial = serial
        self.order = 0
        start = f'{self._start}{time_us // 1000},"ts_us":{time_us}'
        if self.form.encoding is Encoding.READABLE:
            self.source = f'{start}{self._middle}{transaction.xid},"lsn":'
            rest = ""
        else:
            previous = "null" if transaction.previous_lsn is None else rf"\"{transaction.previous_lsn}\""
            middle = f',"ts_ns":{time_us}000{self._middle}{transaction.xid}'
            self.source = rf'{start}{middle},"sequence":"[{previous},\"'
            rest = ',"origin":null,"origin_lsn":null'
        self.transaction = f',"xmin":null{rest}}},"transaction":{{"id":"{transaction.id}","total_order":'

    def key(self, key: RowKey) -> bytes:
        """As the messages have it."""
        frame = self.shape.frame
        return f"{frame.key_head}{key.shown}{frame.key_tail}".encode("latin-1")

    def key_headers(self, key: RowKey) -> list[tuple[str, bytes]]:
        """What tells the key as links know it, where the messages' key does not."""
        return [] if key.canonical is None else [(KEY, key.canonical.encode("latin-1"))]

    def moved(self, header: str, canonical_header: str, key: RowKey) -> list[tuple[str, bytes]]:
        """The headers of one half of a changed key, that tell of the other half's key.

        It stands there without a schema in every form: Kafka Connect's usual converter of headers makes a map of it,
        whose values have to be of one type.
        """
        headers = [(header, key.shown.encode("latin-1"))]
        if key.canonical is not None:
            headers.append((canonical_header, key.canonical.encode("latin-1")))
        return headers

    def value(self, before: str, after: str, lsn: int, total: int, close: str) -> bytes:
        """A change's envelope, the general way; ``close`` as ``Closing`` says."""
        head = self.shape.frame.value_head
        source = f"{self.source}{self.shape.frame.lsn.format(lsn=lsn)}{self.transaction}{total}"
        order = f',"data_collection_order":{self.order}{close}'
        return f'{head}{{"before":{before},"after":{after}{source}{order}'.encode("latin-1")


class Closing:
    """How values end: the operation, and when it was read."""

    def __init__(self, form: Form) -> None:
        self._precise = form.encoding is Encoding.DEBEZIUM
        self._tail = "}}" if form.schemas else "}"
        self.now()

    def now(self) -> None:
        """What follows is read now."""
        now_ns = time.time_ns()
        rest = f',"ts_us":{now_ns // 1000},"ts_ns":{now_ns}' if self._precise else ""
        self._rest = f'","ts_ms":{now_ns // 1_000_000}{rest}{self._tail}'

    def of(self, operation: str) -> str:
        """From the end of the transaction's block on."""
        return '},"op":"' + operation + self._rest


def marker_headers(content: bytes) -> list[tuple[str, bytes]] | None:
    """The headers that an origin marker asks for; None for what is no such marker (anybody may emit messages)."""
    try:
        marker = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(marker, dict) or not isinstance(marker.get("origin"), str):
        return None
    headers = [(ORIGIN, marker["origin"].encode())]
    if isinstance(marker.get("cause"), str):
        headers.append((CAUSE, marker["cause"].encode()))
    return headers


def _json(text: str) -> str:
    return latin(orjson.dumps(text).decode())
