"""The HTTP server as a role: Granian inside the process's own event loop (docs/decisions/0002-http-server.md)."""

from __future__ import annotations

import asyncio
import socket

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server
from starlette.types import ASGIApp

from bothways.model.errors import SettingsError, Unavailable

HEAD_SECONDS = 20.0
"""So long a connection may take for a request's head, and stay open between two requests."""
CONNECTIONS = 1024
"""Open connections at a time; more wait in the kernel's queue."""
HEAD_BYTES = 64 * 1024
STOP_SECONDS = 15.0
"""So long requests in work may take when the server stops."""
START_SECONDS = 5.0

_LOGGERS = {"loggers": {"_granian": {"level": "ERROR", "propagate": True}}}
_log = structlog.get_logger(__name__)


class HttpServer:
    """Serves an application on one address. A ``Role``.

    ``claim`` takes the address, so that a port in use is known before anything starts; ``run`` does so where it was
    not called. On cancellation no new connection is taken, and requests in work are answered.
    """

    name = "http"

    def __init__(self, app: ASGIApp, host: str, port: int, *, head_seconds: float = HEAD_SECONDS) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._head_seconds = head_seconds
        self._claimed: socket.socket | None = None
        self._serving = False

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, the port as it is where 0 was asked for. Claims the address."""
        host, port = self.claim().getsockname()[:2]
        return host, port

    def ready(self) -> str | None:
        """None while it takes connections."""
        return None if self._serving else "not listening yet"

    def claim(self) -> socket.socket:
        """Take the address for this process. Raises ``SettingsError`` where that cannot be.

        Granian binds by itself, with SO_REUSEPORT, and so would silently share a port with another of its kind. This
        socket is bound without it, which fails if anybody listens there, and allows sharing only afterwards. It never
        listens itself; as long as it is open the address is ours.
        """
        if self._claimed is not None:
            return self._claimed
        claimed: socket.socket | None = None
        try:
            family, kind, proto, _, where = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            claimed = socket.socket(family, kind, proto)
            claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            claimed.bind(where)
            claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except OSError as error:
            if claimed is not None:
                claimed.close()
            reason = error.strerror or str(error)
            raise SettingsError(
                f"cannot listen on {self._host}:{self._port}: {reason}",
                hint="end what listens there, or set another [http] listen",
            ) from None
        self._claimed = claimed
        return claimed

    def release(self) -> None:
        """Give the address back; after ``run`` this has happened."""
        if self._claimed is not None:
            self._claimed.close()
            self._claimed = None

    async def run(self) -> None:
        """Serve until cancelled."""
        host, port = self.address
        server = self._server(host, port)
        serving = asyncio.create_task(server.serve())
        try:
            await self._listening(serving, host, port)
            self._serving = True
            _log.info("http.listening", host=host, port=port)
            await asyncio.shield(serving)
            raise Unavailable("the HTTP server ended by itself")
        finally:
            self._serving = False
            try:
                await self._stop(server, serving)
            finally:
                self.release()

    def _server(self, host: str, port: int) -> Server:
        return Server(
            self._app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=CONNECTIONS,
            backpressure=CONNECTIONS,
            http1_settings=HTTP1Settings(
                header_read_timeout=int(self._head_seconds * 1000), max_buffer_size=HEAD_BYTES
            ),
            log_level=LogLevels.error,
            log_dictconfig=_LOGGERS,
        )

    async def _listening(self, serving: asyncio.Task[None], host: str, port: int) -> None:
        """Return when a connection is taken; raise what the server failed with."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while not serving.done():
                    try:
                        _, writer = await asyncio.open_connection(host, port)
                    except OSError:
                        await asyncio.sleep(0.005)
                        continue
                    writer.close()
                    await writer.wait_closed()
                    return
        except TimeoutError:
            raise Unavailable(f"the HTTP server does not listen after {START_SECONDS:g} s") from None
        serving.result()

    async def _stop(self, server: Server, serving: asyncio.Task[None]) -> None:
        server.stop()  # type: ignore[no-untyped-call]  # Granian leaves it without types
        done, _ = await asyncio.wait((serving,), timeout=STOP_SECONDS)
        if not done:
            _log.warning("http.requests_abandoned", seconds=STOP_SECONDS)
            serving.cancel()
