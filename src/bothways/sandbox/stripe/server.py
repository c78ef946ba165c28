"""The sandbox over HTTP: an ASGI application, and a server that runs beside other things on an event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bothways.sandbox.stripe import admin
from bothways.sandbox.stripe.dashboard import files, guard
from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.sandbox import Sandbox
from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.words import Request, Response

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

BREAK = "bothways.break"
"""The ASGI extension that breaks the connection without an answer: a function without arguments."""
IDLE_SECONDS = 30
"""So long a connection may stay open between two requests."""


class _TooLarge(Exception):
    """A body over the limit."""


class _Disconnected(Exception):
    """The client went away before its request was here."""


def create_app(sandbox: Sandbox) -> Asgi:
    """The ASGI application of a sandbox. It needs no lifespan.

    On a server without the extension ``BREAK`` a dropped answer is one that announces a body and never sends it.
    """

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            response = await _respond(sandbox, scope, receive)
        except _Disconnected:
            return
        except asyncio.CancelledError:  # the server stops, and has broken the connection
            await _until_disconnected(receive)
            return
        if response.dropped and BREAK in scope.get("extensions", {}):
            scope["extensions"][BREAK]()
            await _until_disconnected(receive)
        else:
            await _send(send, response)

    return app


async def _respond(sandbox: Sandbox, scope: Message, receive: Receive) -> Response:
    try:
        body = await _read(receive, sandbox.settings.body_limit_bytes)
    except _TooLarge:
        return _refusal(ApiError(413, "The request's body is too large."))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    request = Request(scope["method"], scope["path"], scope["query_string"], headers, body)
    by_hand = request.path.startswith(admin.PREFIX)
    try:
        if not by_hand and not files.serves(request.path):
            if request.method != "GET":  # a form of a stranger's page can carry a key in its address
                guard.check_page(request)
            return await sandbox.answer(request)
        client = (scope.get("client") or (None,))[0]
        guard.check_caller(request, client, everybody=sandbox.settings.open)
        if not by_hand:
            return files.answer(request)
        guard.check_page(request)
    except ApiError as error:
        return _refusal(error)
    return await admin.answer(sandbox, request)


async def serve(host: str, port: int, *, settings: Settings | None = None, sandbox: Sandbox | None = None) -> None:
    """Serve until cancelled. Raises ``OSError`` if the address cannot be had."""
    listener = _listening(host, port)
    try:
        await _serve_on(listener, sandbox or Sandbox(settings))
    finally:
        listener.close()


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
    with _listening(host, port or 0) as listener:  # whoever connects from now on is answered, if a moment later
        serving = asyncio.create_task(_serve_on(listener, served))
        try:
            yield Running(f"http://{host}:{listener.getsockname()[1]}", served)
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


class _Protocol(HttpToolsProtocol):
    """Lets the application break a connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {BREAK: self.transport.abort}
        self.scope["extensions"] = extensions


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises ``OSError``."""
    where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    made = socket.socket(*where[:3])
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where[4])
        made.listen(1024)
    except OSError:
        made.close()
        raise
    return made


async def _serve_on(listener: socket.socket, sandbox: Sandbox) -> None:
    """Serve until cancelled; what is under way then is given up."""
    config = uvicorn.Config(
        create_app(sandbox),
        http=_Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,  # the sandbox has a clock of its own
        timeout_keep_alive=IDLE_SECONDS,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    try:
        await server.startup([listener])
        await asyncio.Event().wait()
    finally:
        await _stop(server)
        await sandbox.close()


async def _stop(server: uvicorn.Server) -> None:
    """Uvicorn's own way to stop waits for requests under way; those of a sandbox may be slow on purpose."""
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    under_way = list(server.server_state.tasks)
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)


async def _read(receive: Receive, most: int) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise _TooLarge
    return body


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refusal(error: ApiError) -> Response:
    return Response(
        error.status, orjson.dumps(error.document()), (("Content-Type", "application/json"), *error.headers)
    )


async def _send(send: Send, response: Response) -> None:
    """Send an answer; of a dropped one only the head."""
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
