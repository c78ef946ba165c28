"""Waiting for what a start needs: a machine that boots starts everything at once, in any order."""

from __future__ import annotations

import asyncio
import random

import structlog

from bothways.flow.retry import Backoff
from bothways.flow.supervise import STOPPING
from bothways.model.errors import Transient

FIRST_SECONDS, MOST_SECONDS = 0.5, 10.0

_log = structlog.get_logger(__name__)


class Patience:
    """Between two tries to start. What is in the way is told once, and again when it is something else."""

    def __init__(self) -> None:
        self._backoff = Backoff(FIRST_SECONDS, MOST_SECONDS, random.Random())
        self._told: type[Transient] | None = None

    async def stopped(self, error: Transient) -> bool:
        """Wait until it is worth another try; True where a signal asked to stop meanwhile."""
        if type(error) is not self._told:
            self._told = type(error)
            _log.warning("setup.waits", error=str(error))
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, asked.set)
        try:
            async with asyncio.timeout(self._backoff.after(error)):
                await asked.wait()
        except TimeoutError:
            return False
        finally:
            for number in STOPPING:
                loop.remove_signal_handler(number)
        return True
