"""The poster of webhooks, against servers of every habit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bothways.sandbox.stripe.poster import NotAnswered, Poster


@dataclass(slots=True)
class Scripted:
    """A server that answers each request with the next of its answers, then closes the connection if it is told to."""

    answers: list[bytes]
    closing: bool = False
    url: str = ""
    connections: int = 0
    requests: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                assert head.startswith("POST /hook?a=b HTTP/1.1\r\n")
                assert "\r\nX-Mark: 1\r\n" in head
                assert await reader.readexactly(2) == b"{}"
                self.requests += 1
                answer = self.answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if self.closing or not answer:
                    return
        except asyncio.IncompleteReadError:
            return  # the poster has closed
        finally:
            writer.close()


@asynccontextmanager
async def scripted(*answers: bytes, closing: bool = False) -> AsyncIterator[Scripted]:
    """Such a server on a free port."""
    script = Scripted(list(answers), closing)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?a=b"
    try:
        yield script
    finally:
        server.close()


@pytest.fixture
async def poster() -> AsyncIterator[Poster]:
    """A poster that waits half a second."""
    posting = Poster(0.5)
    yield posting
    await posting.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
HEADERS = {"X-Mark": "1"}


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (OK, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", False),
    ],
)
async def test_connections_are_kept_where_that_is_safe(poster: Poster, answer: bytes, kept: bool) -> None:
    """Two posts take one connection or two; the status is read either way."""
    async with scripted(answer, OK) as server:
        first = await poster.post(server.url, b"{}", HEADERS)
        assert first in (200, 204)
        assert await poster.post(server.url, b"{}", HEADERS) == 200
        assert server.connections == (1 if kept else 2)


async def test_a_kept_connection_that_was_closed_is_replaced(poster: Poster) -> None:
    """A receiver may close whenever it likes."""
    async with scripted(OK, OK, closing=True) as server:
        assert await poster.post(server.url, b"{}", HEADERS) == 200
        assert await poster.post(server.url, b"{}", HEADERS) == 200
        assert (server.connections, server.requests) == (2, 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 soon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200",
    ],
)
async def test_no_answer_or_nonsense(poster: Poster, answer: bytes) -> None:
    """A failure, after the time-out at the latest."""
    async with scripted(answer) as server:
        with pytest.raises(NotAnswered):
            await poster.post(server.url, b"{}", HEADERS)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://127.0.0.1:99999/", "http://[::/", "https://127.0.0.1:1/"]
)
async def test_nobody_there(poster: Poster, url: str) -> None:
    """A failure at once."""
    with pytest.raises(NotAnswered):
        await poster.post(url, b"{}", HEADERS)
