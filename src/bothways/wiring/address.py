"""Who has the HTTP address, where several processes of one machine run with one settings file.

Every process serves its own health. If they share an address, it belongs to the one that serves webhooks or the API:
whoever has nothing but its health to show goes without, or gives the address up when the other one comes.
"""

from __future__ import annotations

import asyncio
import fcntl
from pathlib import Path
from typing import TextIO

import structlog

from bothways.api.server import HttpServer
from bothways.model.errors import SettingsError

LOOK_SECONDS = 0.2
"""How often a process that shows its health only looks whether another wants the address."""
PATIENCE_SECONDS = 5.0
"""How long a process that serves waits for the address to be given up."""
ONLY_ITS_HEALTH = "--listen gives this process an address of its own"

_log = structlog.get_logger(__name__)


class Wanted:
    """A file that is locked as long as a process serves on the address; the kernel unlocks it for whoever dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: TextIO | None = None

    def hold(self) -> bool:
        """Want the address until ``close``; False where another process does."""
        held = self._path.open("a")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
            return False
        self._held = held
        return True

    def by_another(self) -> bool:
        """Whether another process wants it."""
        with self._path.open("a") as look:
            try:
                fcntl.flock(look, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def close(self) -> None:
        """Want it no longer."""
        if self._held is not None:
            self._held.close()
            self._held = None


async def take(server: HttpServer, wanted: Wanted) -> None:
    """Take the address for a process that serves on it. Raises ``SettingsError`` where that cannot be."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    held = False
    while True:
        held = held or wanted.hold()
        try:
            server.claim()
        except SettingsError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        else:
            return
        await asyncio.sleep(LOOK_SECONDS)


class HealthOnly:
    """A role: the server of a process that shows nothing but its health, until another process wants the address."""

    name = "http"

    def __init__(self, server: HttpServer, wanted: Wanted) -> None:
        self._server, self._wanted = server, wanted

    def ready(self) -> str | None:
        """Nothing depends on it."""
        return None

    async def run(self) -> None:
        """Serve if the address is free; then, or once it was given up, only wait to be stopped."""
        if await self._serve():
            _log.info("http.without", hint=ONLY_ITS_HEALTH)
            await asyncio.Event().wait()

    async def _serve(self) -> bool:
        """True once the address is another's."""
        try:
            if self._wanted.by_another():
                return True
            self._server.claim()
        except SettingsError:
            return True
        serving = asyncio.create_task(self._server.run())
        try:
            while not serving.done() and not self._wanted.by_another():
                await asyncio.wait([serving], timeout=LOOK_SECONDS)
        finally:
            serving.cancel()
            await asyncio.wait([serving])
        if not serving.cancelled():
            serving.result()
        return True
