"""The HTTP server as a role: uvicorn inside the process's own event loop (docs/decisions/0002-http-server.md)."""

from __future__ import annotations

import asyncio
import logging
import socket

import structlog
import uvicorn
from starlette.types import ASGIApp

from bothways.api.protocol import HEAD_SECONDS, TAKE_SECONDS, PatientProtocol, allow_files
from bothways.model.errors import SettingsError

IDLE_SECONDS = 30
"""So long a connection may stay open between two requests."""
STOP_SECONDS = 10
"""So long requests in work may take when the server stops."""
BACKLOG = 1024
"""So many may wait in the kernel to be taken."""
ACCEPT_AT_ONCE = 8
"""So many are taken in one turn of the loop: a connection too many is noticed some turns after it has a file."""
TICK_SECONDS = 1.0
"""How often the date in the answers' headers is made anew."""

_log = structlog.get_logger(__name__)


class HttpServer:
    """Serves an application on one address. A ``Role``.

    ``claim`` takes the address, so that a port in use is known before anything starts; ``run`` does so where it was
    not called. On cancellation no new connection is taken, and requests in work are answered.
    """

    name = "http"

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        head_seconds: float = HEAD_SECONDS,
        take_seconds: float = TAKE_SECONDS,
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._patience = {"head_seconds": head_seconds, "take_seconds": take_seconds}
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
        """Take the address for this process. Raises ``SettingsError`` where that cannot be."""
        if self._claimed is None:
            try:
                self._claimed = _listening(self._host, self._port)
            except OSError as error:
                raise SettingsError(
                    f"cannot listen on {self._host}:{self._port}: {error.strerror or error}",
                    hint="end what listens there, or set another [http] listen",
                ) from None
        return self._claimed

    def release(self) -> None:
        """Give the address back; after ``run`` this has happened."""
        if self._claimed is not None:
            self._claimed.close()
            self._claimed = None

    async def run(self) -> None:
        """Serve until cancelled."""
        host, port = self.address
        allow_files()
        server = self._server()
        try:
            await server.startup([self.claim()])
            self.claim().listen(BACKLOG)  # asyncio has one number for both
            self._serving = True
            _log.info("http.listening", host=host, port=port)
            while True:
                await server.on_tick(0)
                await asyncio.sleep(TICK_SECONDS)
        finally:
            self._serving = False
            try:
                if server.started:
                    await server.shutdown()
            finally:
                self.release()

    def _server(self) -> uvicorn.Server:
        """Uvicorn's server, ready to start; its own ``serve`` would take the process's signals."""
        protocol = type("Protocol", (PatientProtocol,), self._patience)
        config = uvicorn.Config(
            self._app,
            http=protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=logging.ERROR,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=ACCEPT_AT_ONCE,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        return server


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises ``OSError``."""
    where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    made = socket.socket(*where[:3])
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where[4])
        made.listen()
    except OSError:
        made.close()
        raise
    return made
