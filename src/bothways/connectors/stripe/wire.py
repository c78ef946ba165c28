"""HTTP/1.1 to one host at a time: requests on connections that are kept, one after the other on each.

A client for everything spends several times the processor time of the rest of a call on what a client of one JSON API
does not need: looking through all connections for each request, redirects, cookies, backends for other event loops.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import httptools
import httpx

KEPT_SECONDS = 30.0
"""So long an idle connection is used again: less than servers wait before they close one."""
KEPT_CONNECTIONS = 64

_ADDRESS_DELAY_SECONDS = 0.25
"""Between a host's addresses, when the first does not answer (RFC 8305)."""
_LINE = re.compile(r"[\x20-\x7e\x80-\xff]*")


class WireError(Exception):
    """No whole answer: the request may have been worked on."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class _Connection(asyncio.Protocol):
    """One request at a time; the parser calls the ``on_…`` methods."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Response] | None = None
        self.usable = True
        """May be used for another request."""
        self.idle_since = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(WireError(f"the answer is no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(WireError(f"the connection was lost before the answer: {exc or 'closed by the other side'}"))

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status, headers, body = self._parser.get_status_code(), self._headers, b"".join(self._body)
        self._headers, self._body = {}, []
        if status < 200:  # a word in between; the answer is still to come
            return
        if self.answer is None or self.answer.done():
            self._end(WireError("an answer that nobody asked for"))
            return
        self.usable = self.usable and self._parser.should_keep_alive()
        self.answer.set_result(Response(status, headers, body))

    async def ask(self, request: bytes) -> Response:
        self.answer = asyncio.get_running_loop().create_future()
        if not self.usable:
            raise WireError("the connection was closed")
        try:
            self._transport.write(request)
            return await self.answer
        except BaseException:
            self.close()
            raise
        finally:
            self.answer = None

    def close(self) -> None:
        self.usable = False
        self._transport.close()

    def _end(self, error: WireError) -> None:
        self.close()
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)


class Wire:
    """Connections by host. Lives on one event loop."""

    def __init__(self, connect: float, answer: float) -> None:
        """Seconds for a connection to be made, and for a whole answer to come."""
        self._connect_seconds, self._answer_seconds = connect, answer
        self._idle: dict[tuple[str, str], list[_Connection]] = {}
        self._tls: ssl.SSLContext | None = None

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: str | None) -> Response:
        """One request. Raises ``WireError``, and ``ValueError`` for what cannot be sent."""
        parts = urlsplit(url)
        request = _request(method, parts, headers, (body or "").encode())
        origin = (parts.scheme, parts.netloc)
        connection = self._kept(origin)
        if connection is None:
            connection = await self._connect(parts)
        try:
            async with asyncio.timeout(self._answer_seconds):
                response = await connection.ask(request)
        except TimeoutError:
            raise WireError(f"no answer within {self._answer_seconds:g} seconds") from None
        self._keep(origin, connection)
        return response

    def close(self) -> None:
        """Let the idle connections go."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _kept(self, origin: tuple[str, str]) -> _Connection | None:
        """The one that was used last; older ones are left to grow too old."""
        connections = self._idle.get(origin, [])
        while connections:
            connection = connections.pop()
            if connection.usable and time.monotonic() - connection.idle_since < KEPT_SECONDS:
                return connection
            connection.close()
        return None

    def _keep(self, origin: tuple[str, str], connection: _Connection) -> None:
        connections = self._idle.setdefault(origin, [])
        if not connection.usable or len(connections) >= KEPT_CONNECTIONS:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        connections.append(connection)

    async def _connect(self, parts: SplitResult) -> _Connection:
        loop, tls = asyncio.get_running_loop(), self._context() if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    _Connection, parts.hostname or "", port, ssl=tls, happy_eyeballs_delay=_ADDRESS_DELAY_SECONDS
                )
        except TimeoutError:
            raise WireError(f"no connection within {self._connect_seconds:g} seconds") from None
        except OSError as error:
            raise WireError(f"no connection: {error}") from error
        return connection

    def _context(self) -> ssl.SSLContext:
        """With the certificates that the environment names, or certifi's."""
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls


def _request(method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> bytes:
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    lines = [f"{method.upper()} {target} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in ("host", "content-length")]
    if body or method.upper() not in ("GET", "DELETE"):
        lines.append(f"Content-Length: {len(body)}")
    if not all(map(_LINE.fullmatch, lines)):
        raise ValueError("a header or the address holds what cannot stand there")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
