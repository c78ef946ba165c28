"""POST requests to webhook receivers over kept connections, and nothing more.

A general HTTP client spends five times as long on a request, which would make the sandbox the slow part of every test
under load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MOST_HEAD_BYTES = 65_536
MOST_BODY_BYTES = 65_536
"""A longer answer is not read: its connection is closed instead of kept."""


class NotAnswered(Exception):
    """There was no answer, or none that is HTTP."""


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    secure: bool


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: bool = False


@dataclass(slots=True)
class Poster:
    """Posts, and keeps connections for the next time."""

    timeout_seconds: float
    _idle: dict[_Target, list[_Connection]] = field(default_factory=dict)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send it and return the answer's status. Raises ``NotAnswered``."""
        try:
            parts = urlsplit(url)
            secure = parts.scheme == "https"
            target = _Target(parts.hostname or "", parts.port or (443 if secure else 80), secure)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("ascii")
            async with asyncio.timeout(self.timeout_seconds):
                return await self._exchange(target, head + body)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise NotAnswered(str(error)) from error

    async def close(self) -> None:
        """Let go of all connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.close()
        self._idle.clear()

    async def _exchange(self, target: _Target, request: bytes) -> int:
        """One request; a kept connection that turns out to be closed is replaced by a new one, once."""
        connection = await self._connection(target)
        try:
            try:
                head = await self._send(connection, request)
            except (ConnectionError, asyncio.IncompleteReadError):
                if not connection.used:
                    raise
                connection.writer.close()
                connection = await self._connect(target)
                head = await self._send(connection, request)
            status, length = _read_head(head)
            if length is None:
                connection.writer.close()
                return status
            await connection.reader.readexactly(length)
        except BaseException:
            connection.writer.close()
            raise
        connection.used = True
        self._idle.setdefault(target, []).append(connection)
        return status

    async def _send(self, connection: _Connection, request: bytes) -> bytes:
        connection.writer.write(request)
        await connection.writer.drain()
        return await connection.reader.readuntil(b"\r\n\r\n")

    async def _connection(self, target: _Target) -> _Connection:
        idle = self._idle.get(target)
        return idle.pop() if idle else await self._connect(target)

    async def _connect(self, target: _Target) -> _Connection:
        reader, writer = await asyncio.open_connection(
            target.host, target.port, ssl=target.secure or None, limit=MOST_HEAD_BYTES
        )
        return _Connection(reader, writer)


def _read_head(head: bytes) -> tuple[int, int | None]:
    """Status, and the length of the body if the connection can be kept after it. Raises ``ValueError``."""
    lines = head.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise ValueError("the answer is not HTTP")
    status = int(rest[:3])
    headers = {
        name.strip().lower(): value.strip().lower() for name, _, value in (line.partition(":") for line in lines[1:])
    }
    if headers.get("connection") == "close" or version == "HTTP/1.0":
        return status, None
    if status in (204, 304):
        return status, 0
    length = headers.get("content-length", "")
    return status, int(length) if length.isdigit() and int(length) <= MOST_BODY_BYTES else None
