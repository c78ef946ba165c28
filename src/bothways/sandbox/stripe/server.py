"""The sandbox over HTTP: an ASGI application, and a server that runs beside other things on an event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, TypeAlias

import orjson
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from bothways.sandbox.stripe import admin
from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.sandbox import Sandbox
from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.words import Request, Response

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class _TooLarge(Exception):
    """A body over the limit."""


def create_app(sandbox: Sandbox) -> Asgi:
    """The ASGI application of a sandbox. It needs no lifespan."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            body = await _read(receive, sandbox.settings.body_limit_bytes)
        except _TooLarge:
            too_large = ApiError(413, "The request's body is too large.").document()
            await _send(send, Response(413, orjson.dumps(too_large), (("Content-Type", "application/json"),)))
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(scope["method"], scope["path"], scope["query_string"], headers, body)
        if not request.path.startswith(admin.PREFIX):
            await _send(send, await sandbox.answer(request))
        elif _from_here(scope):
            await _send(send, await admin.answer(sandbox, request))
        else:
            denied = ApiError(403, "Only this machine may do this.").document()
            await _send(send, Response(403, orjson.dumps(denied), (("Content-Type", "application/json"),)))

    return app


async def serve(host: str, port: int, *, settings: Settings | None = None, sandbox: Sandbox | None = None) -> None:
    """Serve until cancelled. Raises ``OSError`` if the address cannot be had."""
    _probe(host, port)
    served = sandbox or Sandbox(settings)
    server = Server(
        create_app(served),
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    running = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(running)
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # Granian's own signature
        await running
        await served.close()


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that is being served."""

    url: str
    sandbox: Sandbox


@asynccontextmanager
async def running(
    *,
    settings: Settings | None = None,
    sandbox: Sandbox | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
) -> AsyncIterator[Running]:
    """A sandbox served on this event loop, on a free port unless one is given; it answers when this is entered."""
    served = sandbox or Sandbox(settings)
    chosen = free_port(host) if port is None else port
    _probe(host, chosen)  # before anybody who listens there already could be taken for us
    serving = asyncio.create_task(serve(host, chosen, sandbox=served))
    try:
        await _wait_until_open(host, chosen, serving)
        yield Running(f"http://{host}:{chosen}", served)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _probe(host: str, port: int) -> None:
    """Fail here, with a plain error, if the address is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


async def _wait_until_open(host: str, port: int, serving: asyncio.Task[None]) -> None:
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.005)
            continue
        writer.close()
        await writer.wait_closed()
        return
    await serving


async def _read(receive: Receive, most: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= most:
        message = await receive()
        body += message.get("body", b"")
    if len(body) > most:
        raise _TooLarge
    return body


async def _send(send: Send, response: Response) -> None:
    """Send an answer; a dropped one announces a body and never sends it, so that the server breaks the connection."""
    length = str(len(response.body)).encode()
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.headers]
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [*headers, (b"content-length", length)],
        }
    )
    if response.dropped:
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        return
    await send({"type": "http.response.body", "body": response.body})


def _from_here(scope: Message) -> bool:
    client = scope.get("client")
    return client is not None and ip_address(client[0]).is_loopback
