"""How many requests work on records at a time, so that a crowd of them leaves the database to others, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from bothways.api.problems import Problem

AT_ONCE = 5
"""Half of the connections that one process has to the database: delivery and the rest have the other half."""
WAITING = 512
"""More would only time out."""
WAIT_SECONDS = 10.0


@dataclass(slots=True)
class _Turn:
    """One thing that only one may work on."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Gate:
    """Lets so many in at a time, and of those that name the same thing one: a crowd at one row keeps out nobody else.

    Belongs to one event loop. Whoever comes first is let in first.
    """

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING, wait_seconds: float = WAIT_SECONDS) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._turns: dict[str, _Turn] = {}
        self._waiting = 0
        self._most_waiting = waiting
        self._wait_seconds = wait_seconds

    @asynccontextmanager
    async def enter(self, *things: str) -> AsyncIterator[None]:
        """Wait for a place, at most so long. Raises ``Problem`` 503 where there is none."""
        if self._waiting >= self._most_waiting:
            raise _crowded()
        async with AsyncExitStack() as held:
            self._waiting += 1
            try:
                async with asyncio.timeout(self._wait_seconds):
                    for thing in sorted(set(things)):  # always in this order, so that no two wait for each other
                        await held.enter_async_context(self._turn(thing))
                    await held.enter_async_context(self._places)
            except TimeoutError:
                raise _crowded() from None
            finally:
                self._waiting -= 1
            yield

    @asynccontextmanager
    async def _turn(self, thing: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(thing, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[thing]


def _crowded() -> Problem:
    return Problem(503, "Too many requests at a time.", headers={"Retry-After": "1"})
