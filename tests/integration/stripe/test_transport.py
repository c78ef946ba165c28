"""What the SDK gets of HTTP as it comes from a server that does whatever a test needs, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import stripe

from bothways.connectors.stripe.client import Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRequest-Id: req_1\r\n\r\n{}"


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
        return f"http://127.0.0.1:{self.port}/v1/customers?limit=1&q=a%2Bb"


@asynccontextmanager
async def serving(*answers: bytes | None, closes: bool = False) -> AsyncIterator[tuple[Server, Transport]]:
    """Such a server, and a client with little patience."""
    server, transport = Server(list(answers), closes=closes), Transport(connect=5.0, answer=0.5)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server, transport
    finally:
        await transport.close_async()
        listening.close()


async def get(server: Server, transport: Transport) -> tuple[bytes, int, Mapping[str, str]]:
    """One request."""
    return await transport.request_async("get", server.url, {"Authorization": "Bearer x"})


async def test_one_connection_serves_one_request_after_the_other() -> None:
    """The target has its query as it was given, and headers are found however they are written."""
    async with serving(OK) as (server, transport):
        answers = [await get(server, transport) for _ in range(3)]
        assert [(body, status, headers["request-id"]) for body, status, headers in answers] == [
            (b"{}", 200, "req_1")
        ] * 3
        assert server.connections == 1
        assert server.heard[0].startswith(b"GET /v1/customers?limit=1&q=a%2Bb HTTP/1.1\r\nHost: 127.0.0.1")


async def test_requests_at_once_have_a_connection_each() -> None:
    """No answer can be taken for another's."""
    async with serving(OK) as (server, transport):
        answers = await asyncio.gather(*(get(server, transport) for _ in range(4)))
        assert [status for _, status, _ in answers] == [200] * 4
        opened = server.connections
        assert 1 < opened <= 4
        await asyncio.gather(*(get(server, transport) for _ in range(opened)))
        assert server.connections == opened


async def test_a_connection_that_the_server_ends_is_not_used_again() -> None:
    """As it says with its answer."""
    async with serving(OK.replace(b"Request-Id", b"Connection: close\r\nRequest-Id")) as (server, transport):
        await get(server, transport)
        await get(server, transport)
        assert server.connections == 2


@pytest.mark.parametrize("torn", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"SSH-2.0-x\r\n\r\n"])
async def test_half_an_answer_is_none(torn: bytes) -> None:
    """And the next request has a connection of its own."""
    async with serving(torn, OK, closes=True) as (server, transport):
        with pytest.raises(stripe.StripeError):
            await transport.request_async("post", server.url, {}, "name=x")
        assert (await get(server, transport))[1] == 200
        assert server.connections == 2


async def test_a_late_answer_is_nobody_elses() -> None:
    """The connection goes with the request that was given up."""
    async with serving(None, OK) as (server, transport):
        with pytest.raises(stripe.StripeError, match="Timeout"):
            await get(server, transport)
        assert (await get(server, transport))[1] == 200
        assert server.connections == 2


async def test_a_proxy_that_the_environment_names_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that cannot be reached is an error, not a reason to go past it."""
    async with serving(OK) as (server, transport):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("no_proxy", "direct.example")
        await transport.request_async("get", "http://stripe.example/v1/customers", {})
        assert server.heard[0].startswith(b"GET http://stripe.example/v1/customers HTTP/1.1")
        with pytest.raises(stripe.StripeError, match=r"direct\.example"):
            await transport.request_async("get", "http://direct.example:1/", {})
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        with pytest.raises(stripe.StripeError, match="Proxy"):
            await transport.request_async("get", "http://stripe.example/v1/customers", {})


async def test_an_error_does_not_show_the_key() -> None:
    """Neither it nor what it was raised from."""
    async with serving(None) as (server, transport):
        with pytest.raises(stripe.StripeError) as caught:
            await transport.request_async("get", server.url, {"Authorization": "Bearer sk_test_hidden"})
        assert "sk_test_hidden" not in f"{caught.value!r} {caught.value.__cause__!r}"
