"""The rate of calls, kept within one process: for tools, tests and where no state is shared."""

from __future__ import annotations

import asyncio
import math

_USED = 0.995
"""Of the rate: what is left over makes up for clocks that run unevenly."""

CREDIT_SECONDS = 0.4
"""Turns that time has passed over are made up for if they are no older; Stripe's own bucket holds more than that."""

_PAUSE_SECONDS = 1.0
_SLOWER = 0.7
_SLOWEST = 0.1
_RECOVERY_SECONDS = 60.0


class LocalPace:
    """``ports.Pace``: turns at equal distances, in the order they were asked for.

    Asked to slow down, it pauses and goes on at 70 % of its rate; within a minute without another such request it is
    back at the full rate.
    """

    def __init__(self, rate: float) -> None:
        """``rate``: calls a second."""
        if rate <= 0:
            raise ValueError("a rate is above zero")
        self._full = rate * _USED
        self._share = 1.0
        self._slowed_at = -math.inf
        self._next = 0.0
        self._order = asyncio.Lock()

    @property
    def rate(self) -> float:
        """Calls a second that it gives now."""
        return self._full * self._current_share(asyncio.get_running_loop().time())

    async def turn(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._order:
            while True:
                wait = self._next - loop.time()
                if wait <= 0:
                    break
                await asyncio.sleep(wait)  # then look again: it may have been put off meanwhile
            distance = 1 / self.rate
            self._next = max(self._next, loop.time() - CREDIT_SECONDS) + distance

    async def slow_down(self, retry_after: float | None) -> None:
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now + (retry_after if retry_after is not None else _PAUSE_SECONDS))
        if now - self._slowed_at > _PAUSE_SECONDS:  # several calls of one moment are refused for one reason
            self._share = max(_SLOWEST, self._current_share(now) * _SLOWER)
            self._slowed_at = now

    def _current_share(self, now: float) -> float:
        recovered = (now - self._slowed_at) / _RECOVERY_SECONDS * (1 - _SLOWEST)
        return min(1.0, self._share + recovered)
