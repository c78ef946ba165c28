"""Debezium's envelope around rows, in pieces that change as seldom as possible: per stream, table, transaction, row."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from bothways import __version__
from bothways.connectors.postgres.encode import EncodeRow, Shape, row_encoder
from bothways.connectors.postgres.fragments import latin
from bothways.connectors.postgres.pgoutput import Begin
from bothways.eventlog.codec import CAUSE, ORIGIN

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

    @classmethod
    def of(cls, begun: Begin, source: str) -> OpenTransaction:
        """From its first message; ``source`` as in ``Position``."""
        lsn = begun.commit_lsn
        return cls(begun.xid, f"{source}:{lsn}:", f"{begun.xid}:{lsn}", begun.committed_us)


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
        self.source = f'{self._start}{time_us // 1000},"ts_us":{time_us}{self._middle}{transaction.xid},"lsn":'
        self.transaction = f',"xmin":null}},"transaction":{{"id":"{transaction.id}","total_order":'


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
