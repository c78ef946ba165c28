"""Whether anything has changed: for those who look on."""

from __future__ import annotations

import asyncio
import time


class Changes:
    """A number that grows with everything that happens in the sandbox. Belongs to one event loop.

    It begins at the time (milliseconds): who looked on at a sandbox that ran before sees that this is another.
    """

    def __init__(self) -> None:
        self.revision = time.time_ns() // 1_000_000
        self._next: asyncio.Event | None = None

    def note(self) -> None:
        """Something happened."""
        self.revision += 1
        if self._next is not None:
            self._next.set()
            self._next = None

    async def other_than(self, revision: int | None, wait_seconds: float) -> int:
        """The revision as soon as it is another than this one, or as it is after so long."""
        if revision == self.revision:
            if self._next is None:
                self._next = asyncio.Event()
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._next.wait()
            except TimeoutError:
                pass  # it is as it was, which is an answer
        return self.revision
