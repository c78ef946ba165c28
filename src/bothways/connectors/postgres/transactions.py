"""Frames of the replication stream, made into messages for the log.

Rows are by far the most frequent frames, so ``_rows`` is one loop that calls the table's generated function; everything
else comes through ``_other``. One instance reads one connection's stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from bothways.connectors.postgres import pgoutput
from bothways.connectors.postgres.encode import RowKey
from bothways.connectors.postgres.envelope import Appendable, Closing, OpenTransaction, Table, marker_headers
from bothways.connectors.postgres.pgoutput import BODY, FRAME, FRAME_HEAD, INSERT_TUPLE, PADDING
from bothways.connectors.postgres.stream import server_error, server_notice
from bothways.eventlog.codec import MOVED_FROM, MOVED_TO, NEW_KEY, OLD_KEY, POSITION
from bothways.eventlog.form import Form

HELD_ROWS = 1_000
"""So many rows of a transaction wait for its end, in case an origin marker comes last. A larger transaction's rows go
on at once; a marker after them only fails to save a read."""
HELD_BYTES = 4 * 1024 * 1024
"""The same in bytes of the stream."""

_FRAME, _ERROR, _NOTICE, _DATA, _KEEPALIVE = b"dENwk"
_INSERT, _UPDATE, _DELETE, _TRUNCATE = b"IUDT"
_BEGIN, _COMMIT, _RELATION, _MARKER = b"BCRM"
_NEW, _OLD_KEY, _OLD_ROW = b"NKO"

_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """What is ready for the log."""

    messages: list[Appendable]
    end_lsn: int | None
    """The end of the last transaction that is complete with these messages; None where none is."""
    xids: list[int] = field(default_factory=list)
    """Whose messages these are."""


class ReachedEnd(Exception):
    """The stream has come to the position up to which it was to be read; all before it can be taken."""


class Transactions:
    """Reads frames, gives messages. ``table_for`` is asked about each relation the stream names; None: not ours."""

    def __init__(
        self, source: str, table_for: Callable[[pgoutput.Relation], Table | None], form: Form | None = None
    ) -> None:
        self.until_lsn: int | None = None
        """Transactions that commit from here on are not wanted: ``read`` raises ``ReachedEnd``."""
        self._source = source
        self._table_for = table_for
        self._tables: dict[int, Table | None] = {}
        self._pending: list[Appendable] = []
        self._complete = 0
        """So many of the pending messages belong to transactions that have ended."""
        self._end_lsn: int | None = None
        self._xids: list[int] = []
        """Of the transactions that have ended, and have messages among those that are complete."""
        self._transaction: OpenTransaction | None = None
        self._serial = 0
        self._marker: list[tuple[str, bytes]] = []
        self._read_bytes = 0
        self._began_at_byte = 0
        self._index = 0
        self._lsn = -1
        self._total = 0
        self._sent_us = 0
        self._previous_lsn: int | None = None
        self._closing = Closing(form or Form())
        self._insert_end = self._update_end = ""
        self.rows = 0
        self.keep_alive: pgoutput.KeepAlive | None = None
        """The last one that came; the reader takes it away."""
        self.commit_lag_seconds = 0.0
        """By the server's clock: how long after its commit the last transaction was sent."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended, or messages wait to be taken."""
        return self._transaction is not None or bool(self._pending)

    def read(self, data: bytes) -> int:
        """Read the complete frames at the beginning; returns how many bytes they are."""
        size = len(data)
        padded = data + PADDING
        text = padded.decode("latin-1")
        self._closing.now()
        self._insert_end, self._update_end = self._closing.of("c"), self._closing.of("u")
        at = 0
        while True:
            at = self._rows(padded, text, at, size)
            end = at + FRAME_HEAD
            if end > size:
                break
            end = at + 1 + int.from_bytes(padded[at + 1 : end], "big")
            if end > size:
                break
            self._read_bytes += end - at
            self._other(padded, at, end)
            at = end
        return at

    def take(self) -> Taken:
        """What can go to the log now: the rows of an open transaction wait for its end, within bounds."""
        if self._transaction is not None and not self._is_held():
            self._mark_open()
            self._complete = len(self._pending)
            self._xids.append(self._transaction.xid)
        ready, self._pending = self._pending[: self._complete], self._pending[self._complete :]
        taken = Taken(ready, self._end_lsn, self._xids)
        self._complete, self._end_lsn, self._xids = 0, None, []
        return taken

    def _is_held(self) -> bool:
        return len(self._pending) - self._complete <= HELD_ROWS and self._read_bytes - self._began_at_byte <= HELD_BYTES

    def _mark_open(self) -> None:
        if self._marker:
            for _, _, _, headers in self._pending[self._complete :]:
                headers.extend(self._marker)

    def _rows(self, data: bytes, text: str, at: int, size: int) -> int:
        """Inserts, and updates without an old row, as long as nothing else comes; returns where that is."""
        transaction = self._transaction
        if transaction is None:
            return at
        unpack, tables, add = FRAME.unpack_from, self._tables, self._pending.append
        created, updated = self._insert_end, self._update_end
        position, serial = transaction.position, self._serial
        index, total, began = self._index, self._total, at
        while True:
            _, length, kind, lsn, _, message, relation, tuple_kind = unpack(data, at)
            end = at + 1 + length
            if end > size or tuple_kind != _NEW or kind != _DATA or (message != _INSERT and message != _UPDATE):
                break
            table = tables.get(relation)
            if table is not None:
                if table.serial != serial:
                    table.begin(transaction, serial)
                order = table.order + 1
                row = table.encode(
                    text, at + INSERT_TUPLE, end, table.source, lsn, table.transaction, total + 1, order,
                    created if message == _INSERT else updated,
                )  # fmt: skip
                if row is None:
                    break
                table.order = order
                total += 1
                add((table.topic, row[0], row[1], [(POSITION, f"{position}{index}".encode())]))
            index += 1
            at = end
        self._read_bytes += at - began
        self.rows += total - self._total
        self._index, self._total = index, total
        return at

    def _other(self, data: bytes, at: int, end: int) -> None:
        if data[at] == _ERROR:
            raise server_error(data[at + FRAME_HEAD : end])
        if data[at] == _NOTICE:
            server_notice(data[at + FRAME_HEAD : end])
        if data[at] != _FRAME:
            return
        kind = data[at + FRAME_HEAD]
        if kind == _KEEPALIVE:
            self.keep_alive = pgoutput.keep_alive(data[at + FRAME_HEAD : end])
        elif kind == _DATA:
            _, _, _, lsn, self._sent_us, message, *_ = FRAME.unpack_from(data, at)
            if message in _CHANGES:
                _CHANGES[message](self, data, at + BODY, lsn)
            elif message in _CONTROLS:
                _CONTROLS[message](self, data[at + BODY : end])

    # ------------------------------------------------------------------------------------------- around the rows

    def _begin(self, body: bytes) -> None:
        begun = pgoutput.begin(body)
        if self.until_lsn is not None and begun.commit_lsn >= self.until_lsn:
            raise ReachedEnd
        self._transaction = OpenTransaction.of(begun, self._source, self._previous_lsn)
        self._serial += 1
        self._marker = []
        self._total = 0
        if begun.commit_lsn != self._lsn:  # transactions that share a position count on
            self._lsn, self._index = begun.commit_lsn, 0
        self._began_at_byte = self._read_bytes

    def _commit(self, body: bytes) -> None:
        done = pgoutput.commit(body)
        self._mark_open()
        if self._transaction is not None and len(self._pending) > self._complete:
            self._xids.append(self._transaction.xid)
        self._complete = len(self._pending)
        self._end_lsn = self._previous_lsn = done.end_lsn
        self._transaction = None
        self.commit_lag_seconds = max(0.0, (self._sent_us + pgoutput.EPOCH_US - done.committed_us) / 1e6)

    def _relation(self, body: bytes) -> None:
        described = pgoutput.relation(body)
        self._tables[described.oid] = self._table_for(described)

    def _marked(self, body: bytes) -> None:
        marker = pgoutput.marker(body)
        if marker.transactional and marker.prefix == "bothways":
            headers = marker_headers(marker.content)
            if headers is None:
                _logger.warning("an origin marker that is none of ours was ignored")
            else:
                self._marker = headers

    # -------------------------------------------------------------------------------- rows, the general way

    def _table(self, relation: int) -> Table | None:
        table = self._tables.get(relation)
        if table is not None and table.serial != self._serial and self._transaction is not None:
            table.begin(self._transaction, self._serial)
        return table

    def _insert(self, data: bytes, body: int, lsn: int) -> None:
        table = self._table(_oid(data, body))
        if table is not None:
            row, _ = pgoutput.read_tuple(data, body + 6)
            self._add(table, table.shape.key_of(row), "null", table.shape.texts_json(row), lsn, "c")
        self._index += 1

    def _update(self, data: bytes, body: int, lsn: int) -> None:
        table = self._table(_oid(data, body))
        if table is not None:
            kind, old, at = data[body + 5], None, body + 6
            if kind in (_OLD_KEY, _OLD_ROW):
                old, at = pgoutput.read_tuple(data, at)
                at += 1
            row, _ = pgoutput.read_tuple(data, at)
            full = old if kind == _OLD_ROW else None
            self._updated(table, old, full, row, lsn)
        self._index += 1

    def _updated(
        self, table: Table, old: pgoutput.Tuple | None, full: pgoutput.Tuple | None, row: pgoutput.Tuple, lsn: int
    ) -> None:
        key, after = table.shape.key_of(row, full), table.shape.texts_json(row, full)
        before = "null" if old is None else table.shape.texts_json(old)
        old_key = key if old is None else table.shape.key_of(old)
        if old_key == key:
            self._add(table, key, "null" if full is None else before, after, lsn, "u")
            return
        moved = table.moved(NEW_KEY, MOVED_TO, key)
        self._add(table, old_key, before, "null", lsn, "d", moved)
        self._tombstone(table, old_key, moved)
        self._add(table, key, "null", after, lsn, "c", table.moved(OLD_KEY, MOVED_FROM, old_key), ":2")

    def _delete(self, data: bytes, body: int, lsn: int) -> None:
        table = self._table(_oid(data, body))
        if table is not None:
            old, _ = pgoutput.read_tuple(data, body + 6)
            key = table.shape.key_of(old)
            self._add(table, key, table.shape.texts_json(old), "null", lsn, "d")
            self._tombstone(table, key)
        self._index += 1

    def _truncate(self, data: bytes, body: int, lsn: int) -> None:
        for relation in pgoutput.truncate(data, body):
            table = self._table(relation)
            if table is not None:
                self._add(table, None, "null", "null", lsn, "t")
            self._index += 1

    def _add(
        self, table: Table, key: RowKey | None, before: str, after: str, lsn: int, operation: str,
        headers: list[tuple[str, bytes]] | None = None, part: str = "",
    ) -> None:  # fmt: skip
        self._total += 1
        self.rows += 1
        table.order += 1
        value = table.value(before, after, lsn, self._total, self._closing.of(operation))
        shown = table.shape.frame.no_key.encode() if key is None else table.key(key)
        known = [] if key is None else table.key_headers(key)
        self._pending.append((table.topic, shown, value, [(POSITION, self._position(part)), *known, *(headers or [])]))

    def _tombstone(self, table: Table, key: RowKey, moved: Sequence[tuple[str, bytes]] = ()) -> None:
        headers = [(POSITION, self._position(":1")), *table.key_headers(key), *moved]
        self._pending.append((table.topic, table.key(key), None, headers))

    def _position(self, part: str) -> bytes:
        """One change may be three messages: the second and third have a third number in their position."""
        assert self._transaction is not None
        return f"{self._transaction.position}{self._index}{part}".encode()


def _oid(data: bytes, body: int) -> int:
    return int.from_bytes(data[body + 1 : body + 5], "big")


_CHANGES: dict[int, Callable[[Transactions, bytes, int, int], None]] = {
    _INSERT: Transactions._insert,
    _UPDATE: Transactions._update,
    _DELETE: Transactions._delete,
    _TRUNCATE: Transactions._truncate,
}
_CONTROLS: dict[int, Callable[[Transactions, bytes], None]] = {
    _BEGIN: Transactions._begin,
    _COMMIT: Transactions._commit,
    _RELATION: Transactions._relation,
    _MARKER: Transactions._marked,
}
