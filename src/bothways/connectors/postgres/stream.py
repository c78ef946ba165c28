"""The bytes of a replication stream, after libpq has made and authenticated the connection.

Without TLS the socket is read directly, 64 kB at a time: libpq hands messages over one by one, which costs 0.8 µs each,
where everything else that is done for a row takes 5. With TLS libpq goes on.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from typing import Any, Protocol

import psycopg
from psycopg import pq

from bothways.model.errors import SourceLost

RECEIVE_BYTES = 64 * 1024
"""Small enough that the rows stay in the processor's cache on their way to the log: 256 kB are slower by a sixth."""
_START_SECONDS = 60.0
_GOODBYE_SECONDS = 1.0
_COPY_DONE, _TERMINATE = b"c\0\0\0\4", b"X\0\0\0\4"
_ERROR, _COPY_BOTH = b"EW"


class Stream(Protocol):
    """One replication stream. ``send`` may be called by any thread, all else by one.

    A lost connection, or an error that the server sends, raises ``psycopg.Error`` or ``OSError``.
    """

    def start(self, command: str) -> None:
        """Send START_REPLICATION and wait until the server streams."""
        ...

    def receive(self) -> bytes:
        """What has come: whole or partial frames. Empty where nothing has."""
        ...

    def send(self, frame: bytes) -> None:
        """Send a frame, now or with a later call. A frame that finds another one still unsent is dropped."""
        ...

    def fileno(self) -> int:
        """What to wait for input on, once ``receive`` gave nothing."""
        ...

    def close(self) -> None:
        """End the stream and the connection."""
        ...


def stream_over(connection: psycopg.Connection[Any]) -> Stream:
    """The faster stream that the connection allows. It takes the connection over; nothing is under way on it."""
    encrypted = connection.pgconn.ssl_in_use or "gssencmode" in connection.info.get_parameters()
    return LibpqStream(connection) if encrypted else SocketStream(connection)


class SocketStream:
    """Reads and writes the connection's socket."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._socket = socket.socket(fileno=os.dup(connection.pgconn.socket))
        self._socket.setblocking(False)
        self._early = b""
        self._unsent = b""
        self._sending = threading.Lock()

    def start(self, command: str) -> None:
        query = command.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack(">I", len(query) + 4) + query)
        data = b""
        while True:
            while len(data) >= 5 and len(data) > (length := int.from_bytes(data[1:5], "big")):
                kind, body, data = data[0], data[5 : 1 + length], data[1 + length :]
                if kind == _ERROR:
                    raise server_error(body)
                if kind == _COPY_BOTH:
                    self._early = data
                    return
            wait(self._socket.fileno(), _START_SECONDS)
            data += self._read()

    def receive(self) -> bytes:
        if self._early:
            early, self._early = self._early, b""
            return early
        try:
            return self._read()
        except BlockingIOError:
            return b""

    def send(self, frame: bytes) -> None:
        with self._sending:
            waiting = self._unsent or frame
            try:
                self._unsent = waiting[self._socket.send(waiting) :]
            except BlockingIOError:
                self._unsent = waiting if waiting is not frame else b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        # A socket that is closed with input unread resets the connection, and the last acknowledgement may be lost.
        with contextlib.suppress(OSError, psycopg.Error):
            self._socket.send(_COPY_DONE + _TERMINATE)
            until = time.monotonic() + _GOODBYE_SECONDS
            while (left := until - time.monotonic()) > 0:
                wait(self._socket.fileno(), left)
                self._read()
        self._socket.close()
        self._connection.close()

    def _read(self) -> bytes:
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise psycopg.OperationalError("the server closed the replication connection")
        return data


class LibpqStream:
    """Goes through libpq, which decrypts; gives the same frames."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._using = threading.Lock()
        self._routine: str | None = None
        connection.add_notice_handler(self._note)

    def start(self, command: str) -> None:
        self._pgconn.send_query(command.encode())
        self._pgconn.flush()
        while self._pgconn.is_busy():
            wait(self._pgconn.socket, _START_SECONDS)
            self._pgconn.consume_input()
        self._check(self._pgconn.get_result(), pq.ExecStatus.COPY_BOTH)

    def receive(self) -> bytes:
        with self._using:
            # A TLS record holds up to 16 kB and libpq takes at least 8 of them at a time: three turns leave nothing in
            # it, which no waiting on the socket would tell of.
            for _ in range(3):
                frames = self._frames()
                if frames:
                    return frames
                self._pgconn.consume_input()
                check_notice(self._routine)
            return self._frames()

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        self._routine = notice.source_function

    def send(self, frame: bytes) -> None:
        with self._using:
            self._pgconn.put_copy_data(frame[5:])
            self._pgconn.flush()

    def fileno(self) -> int:
        return self._pgconn.socket

    def close(self) -> None:
        self._connection.close()

    def _frames(self) -> bytes:
        parts: list[bytes | memoryview] = []
        size = 0
        while size < RECEIVE_BYTES:
            length, data = self._pgconn.get_copy_data(1)
            if length == -1:
                self._check(self._pgconn.get_result(), pq.ExecStatus.COPY_OUT)
            if length <= 0:
                break
            parts += [b"d", (length + 4).to_bytes(4, "big"), data]
            size += length
        return b"".join(parts)

    def _check(self, result: pq.abc.PGresult | None, wanted: pq.ExecStatus) -> None:
        if result is None or result.status != wanted:
            raise (
                psycopg.OperationalError("the server ended the replication stream")
                if result is None
                else psycopg.errors.error_from_result(result)
            )


class Frames:
    """Puts frames together that came in pieces, without copying a large one again and again."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._missing = 0

    def add(self, data: bytes) -> bytes | None:
        """What is there, once it begins with a complete frame. ``keep`` has to be told what of it was not used."""
        if len(data) < self._missing:
            self._missing -= len(data)
            self._parts.append(data)
            return None
        if self._parts:
            data = b"".join([*self._parts, data])
        self._parts = []
        return data

    def keep(self, rest: bytes) -> None:
        """The frame that is not complete yet."""
        self._parts = [rest] if rest else []
        length = int.from_bytes(rest[1:5], "big") + 1 if len(rest) >= 5 else 5
        self._missing = length - len(rest) if rest else 0


def check_notice(routine: str | None) -> None:
    """A publication that is gone is an error of the stream up to PostgreSQL 17; from 18 on the server says so in a
    notice of this routine, and leaves the changes out. Raises ``SourceLost``.
    """
    if routine == "LoadPublications":
        raise SourceLost(
            "the publication was dropped: the server leaves changes out of the stream",
            hint="run `bothways setup`, which makes it, then `bothways backfill`, which finds what was missed",
        )


def server_notice(body: bytes) -> None:
    """The same of a NoticeResponse as it comes."""
    check_notice(_fields(body).get(b"R"))


def wait(descriptor: int, seconds: float, other: int | None = None) -> None:
    """Wait until there is input (or ``other`` has some), at most so long."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if other is not None:
        poll.register(other, select.POLLIN)
    poll.poll(seconds * 1000)


def server_error(body: bytes) -> psycopg.Error:
    """The server's ErrorResponse as psycopg's exception for its SQLSTATE."""
    fields = _fields(body)
    state, message = fields.get(b"C", "XX000"), fields.get(b"M", "the server sent an error")
    try:
        kind = psycopg.errors.lookup(state)
    except KeyError:
        kind = psycopg.OperationalError
    return kind(f"{message} (SQLSTATE {state})")


def _fields(body: bytes) -> dict[bytes, str]:
    return {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
