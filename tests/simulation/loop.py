"""An event loop whose time is virtual and whose order is drawn from a seed: one seed, one history."""

from __future__ import annotations

import asyncio
import heapq
import random
from typing import Any


class Stuck(RuntimeError):
    """Nothing is ready and nothing is scheduled: the simulation would wait for ever."""


class Over(BaseException):
    """The simulation is at its end."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready in a random order; where nothing is, time jumps to what is scheduled next."""

    def __init__(self, chance: random.Random, start: float = 0.0) -> None:
        super().__init__()
        self.chance, self.virtual_now = chance, start
        self.steps = 0
        self.grave: asyncio.Future[None] = self.create_future()
        """What the dead wait for: the end of the simulation."""

    def time(self) -> float:
        """Virtual seconds."""
        return self.virtual_now

    def _run_once(self) -> None:
        inner: Any = self  # the loop's queues are not part of its public face
        ready, scheduled = inner._ready, inner._scheduled
        while scheduled and (scheduled[0]._cancelled or scheduled[0]._when <= self.virtual_now):
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            if not timer._cancelled:
                ready.append(timer)
        if not ready:
            if not scheduled:
                raise Stuck("nothing is ready and nothing is scheduled")
            self.virtual_now = max(self.virtual_now, scheduled[0]._when)
            return
        if len(ready) > 1:
            ready.rotate(-self.chance.randrange(len(ready)))
        handle = ready.popleft()
        self.steps += 1
        if not handle._cancelled:
            handle._run()

    def _process_events(self, event_list: list[Any]) -> None:
        """There is no I/O."""

    def _write_to_self(self) -> None:
        """There are no other threads."""

    def bury(self) -> None:
        """The end: whatever still runs or waits is ended, and finds all its doors closed."""
        self.grave.set_exception(Over())
        self.grave.exception()
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.close()


class VirtualClock:
    """Wall time in the simulation: the loop's, moved to an epoch."""

    def __init__(self, loop: VirtualLoop, skew: float = 0.0) -> None:
        self.loop, self.skew = loop, skew

    def now(self) -> float:
        """Unix seconds."""
        return self.loop.time() + self.skew


async def door(alive: bool) -> None:
    """Every call to the outside passes here: the dead do not come back, and after the end nobody does."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualLoop) and (not alive or loop.grave.done()):
        await asyncio.shield(loop.grave)
