"""An event loop whose time is virtual and whose order is drawn from a seed: one seed, one history."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable
from contextvars import Context
from itertools import count
from typing import Any, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")

AT_ONCE = 500
"""Steps between two looks at whether the loop should end."""


class Stuck(RuntimeError):
    """Nothing is ready and nothing is scheduled: the simulation would wait for ever."""


class Over(BaseException):
    """The simulation is at its end."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready in a random order; where nothing is, time jumps to what is scheduled next.

    Its queues are its own, without what real loops need for threads, sockets and debugging: most of a simulation's time
    goes by in here.
    """

    def __init__(self, chance: random.Random, start: float = 0.0) -> None:
        super().__init__()
        self.chance, self.virtual_now = chance, start
        self.steps = 0
        self._runnable: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self.grave: asyncio.Future[None] = self.create_future()
        """What the dead wait for: the end of the simulation."""

    def time(self) -> float:
        """Virtual seconds."""
        return self.virtual_now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run it among what is ready now."""
        handle = asyncio.Handle(callback, args, self, context)
        self._runnable.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run it after so many virtual seconds."""
        return self.call_at(self.virtual_now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run it at that virtual time."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is skipped when its time comes."""

    def _run_once(self) -> None:
        inner: Any = self  # whether the loop was told to end is not part of its public face
        for _ in range(AT_ONCE):
            self._step()
            if inner._stopping:
                return

    def _step(self) -> None:
        runnable, timers = self._runnable, self._timers
        while timers and (timers[0][0] <= self.virtual_now or timers[0][2].cancelled()):
            timer = heapq.heappop(timers)[2]
            if not timer.cancelled():
                runnable.append(timer)
        if not runnable:
            if not timers:
                raise Stuck("nothing is ready and nothing is scheduled")
            self.virtual_now = timers[0][0]
            return
        if len(runnable) > 1:
            runnable.rotate(-int(self.chance.random() * len(runnable)))
        handle = runnable.popleft()
        self.steps += 1
        if not handle.cancelled():
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
