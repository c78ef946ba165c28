"""How many records of one system are worked on at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager


class Places:
    """So many places per system. Who waits for one has begun nothing, so it is given up when the worker stops."""

    def __init__(self, systems: Iterable[str], count: int) -> None:
        self._free = {system: asyncio.Semaphore(count) for system in systems}
        self._waiting: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def place(self, system: str) -> AsyncIterator[None]:
        """Wait for a place, and have it for the block."""
        task = asyncio.current_task()
        assert task is not None, "only tasks wait"
        self._waiting.add(task)
        try:
            await self._free[system].acquire()
        finally:
            self._waiting.discard(task)
        try:
            yield
        finally:
            self._free[system].release()

    def give_up(self) -> None:
        """Cancel the tasks that wait."""
        for task in self._waiting:
            task.cancel()
