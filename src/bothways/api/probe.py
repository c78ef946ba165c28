"""Whether something outside answers, asked when somebody wants to know, and not more often than is good for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from bothways.model.errors import BothwaysError

EVERY_SECONDS = 2.0
WAIT_SECONDS = 1.0


class Probe:
    """Call it for None, or why not. ``check`` raises a ``BothwaysError`` where what it asks does not answer.

    An answer holds for ``every`` seconds, and whoever asks meanwhile gets the same; ``wait`` seconds without one is a
    no.
    """

    def __init__(
        self, check: Callable[[], Awaitable[object]], *, every: float = EVERY_SECONDS, wait: float = WAIT_SECONDS
    ) -> None:
        self._check, self._every, self._wait = check, every, wait
        self._lock = asyncio.Lock()
        self._asked: float | None = None
        self._reason: str | None = None

    async def __call__(self) -> str | None:
        async with self._lock:
            if self._asked is None or time.monotonic() - self._asked >= self._every:
                self._reason = await self._ask()
                self._asked = time.monotonic()
            return self._reason

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(self._wait):
                await self._check()
        except TimeoutError:
            return f"no answer in {self._wait:g} s"
        except BothwaysError as error:
            return str(error)
        return None
