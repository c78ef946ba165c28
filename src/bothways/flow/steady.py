"""Trying again: transactions that were in each other's way, calls that got no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from bothways.flow.context import Context
from bothways.flow.pausing import refuse
from bothways.flow.retry import Backoff
from bothways.model.errors import Busy, Forbidden, Transient

P = ParamSpec("P")
R = TypeVar("R")

BUSY_FIRST_SECONDS = 0.02
BUSY_MOST_SECONDS = 5.0


class Later(Exception):
    """Nothing more can be done for the record now: what is missing is in the state, and is taken up from there."""


class Steady:
    """One system's patience."""

    def __init__(self, context: Context, system: str) -> None:
        self.context, self.system = context, system

    async def retried(self, run: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a transaction until it is not ``Busy``: without the database nothing can be done anyway."""
        backoff = Backoff(BUSY_FIRST_SECONDS, BUSY_MOST_SECONDS, self.context.random)
        try:
            return await run(*args, **kwargs)
        except Busy as error:
            wait = backoff.after(error)
        while True:
            await asyncio.sleep(wait)
            try:
                async with self.context.once_more:
                    return await run(*args, **kwargs)
            except Busy as error:
                wait = backoff.after(error)

    async def called(self, run: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a call that changes nothing, again and again for a while; then ``Later``."""
        until = self.context.clock.now() + self.context.patience.retries
        backoff = self.backoff()
        while True:
            try:
                answer = await run(*args, **kwargs)
            except Transient as error:
                if self.context.clock.now() > until:
                    raise Later from error
                await asyncio.sleep(backoff.after(error))
            except Forbidden as error:
                await self.refused(error)
            else:
                self.context.paused.pop(self.system, None)
                return answer

    def backoff(self) -> Backoff:
        """For calls to the system."""
        return Backoff(self.context.patience.first, self.context.patience.most, self.context.random)

    async def refused(self, error: Forbidden) -> None:
        """The system refuses our key: no record is to blame, and all of them wait. Raises ``Later``, or waits here."""
        if self.context.patience.waits_for_key:
            self.context.paused[self.system] = str(error)
            await asyncio.sleep(self.context.patience.forbidden)
            return
        await self.retried(refuse, self.context, self.system, str(error))
        raise Later from error
