"""HTTP as it comes from a server that does whatever a test needs, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import stripe

from bothways.connectors.stripe.client import Transport
from bothways.connectors.stripe.wire import Response, Wire, WireError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Twice: a\r\nx-twice: b\r\n\r\n{}"


@dataclass
class Server:
    """Answers each request with the next of ``answers``, the last one again and again; None: never."""

    answers: list[bytes | None]
    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    """Heads of the requests."""
    connections: int = 0
    closes: bool = False
    """The connection, after each answer."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heard.append(head)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    await asyncio.Event().wait()
                writer.write(answer or b"")
                if self.closes:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/customers?limit=1"


@asynccontextmanager
async def serving(*answers: bytes | None, closes: bool = False) -> AsyncIterator[tuple[Server, Wire]]:
    """Such a server, and a wire with little patience."""
    server, wire = Server(list(answers), closes=closes), Wire(5.0, 0.5)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server, wire
    finally:
        wire.close()
        listening.close()


async def get(server: Server, wire: Wire) -> Response:
    """One request."""
    return await wire.request("get", server.url, {"Authorization": "Bearer x"}, None)


async def test_one_connection_serves_one_request_after_the_other() -> None:
    """The target has its query; names of headers are in small letters, and those that come twice are joined."""
    async with serving(OK) as (server, wire):
        answers = [await get(server, wire) for _ in range(3)]
        assert [(each.status, each.body, each.headers["x-twice"]) for each in answers] == [(200, b"{}", "a, b")] * 3
        assert server.connections == 1
        assert server.heard[0].startswith(b"GET /v1/customers?limit=1 HTTP/1.1\r\nHost: 127.0.0.1")


async def test_requests_at_once_have_a_connection_each() -> None:
    """No answer can be taken for another's."""
    async with serving(OK) as (server, wire):
        await asyncio.gather(*(get(server, wire) for _ in range(4)))
        assert server.connections == 4
        await asyncio.gather(*(get(server, wire) for _ in range(4)))
        assert server.connections == 4


@pytest.mark.parametrize("closes", [True, False])
async def test_a_connection_that_the_server_closed_is_not_used_again(closes: bool) -> None:
    """Whether it says so or just does it."""
    said = OK.replace(b"X-Twice: a", b"Connection: close")
    async with serving(OK if closes else said, closes=closes) as (server, wire):
        await get(server, wire)
        while any(each.usable for kept in wire._idle.values() for each in kept):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
        await get(server, wire)
        assert server.connections == 2


async def test_an_answer_in_chunks_after_a_word_in_between() -> None:
    """As servers and proxies send them."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    async with serving(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + chunked, OK) as (server, wire):
        answer = await get(server, wire)
        assert (answer.status, answer.body) == (200, b"{}")
        assert "link" not in answer.headers
        await get(server, wire)
        assert server.connections == 1


@pytest.mark.parametrize("torn", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"SSH-2.0-x\r\n\r\n"])
async def test_half_an_answer_is_none(torn: bytes) -> None:
    """And the next request has a connection of its own."""
    async with serving(torn, OK, closes=True) as (server, wire):
        with pytest.raises(WireError):
            await get(server, wire)
        assert (await get(server, wire)).status == 200
        assert server.connections == 2


async def test_a_late_answer_is_nobody_elses() -> None:
    """The connection goes with the request that was given up."""
    async with serving(None, OK) as (server, wire):
        with pytest.raises(WireError, match="no answer within"):
            await get(server, wire)
        assert (await get(server, wire)).status == 200
        assert server.connections == 2


async def test_nothing_can_be_smuggled_into_a_request() -> None:
    """A line break in a header is refused, and nothing is sent."""
    async with serving(OK) as (server, wire):
        with pytest.raises(ValueError, match="cannot stand there"):
            await wire.request("post", server.url, {"Idempotency-Key": "a\r\nX: y"}, "name=x")
        assert server.connections == 0


async def test_a_proxy_that_the_environment_names_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that cannot be reached is an error, not a reason to go past it."""
    async with serving(OK) as (server, _):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "direct.example")
        transport = Transport()
        try:
            await transport.request_async("get", "http://stripe.example/v1/customers", {})
            assert server.heard[0].startswith(b"GET http://stripe.example/v1/customers HTTP/1.1")
            with pytest.raises(stripe.StripeError, match="no connection"):
                await transport.request_async("get", "http://direct.example:1/", {})
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        finally:
            await transport.close_async()
        transport = Transport()
        try:
            with pytest.raises(stripe.StripeError, match="ConnectError"):
                await transport.request_async("get", "http://stripe.example/v1/customers", {})
        finally:
            await transport.close_async()
