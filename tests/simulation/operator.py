"""Somebody who pauses and resumes, and who is asked where too much is deleted."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from bothways.flow.brake import allow
from bothways.flow.pausing import close, closures, reopen
from bothways.model.errors import Busy
from bothways.model.outcome import Direction
from bothways.model.pause import By, Closure, Lane
from tests.simulation.catalogue import MemoryCatalogue

if TYPE_CHECKING:
    from tests.simulation.world import World

PAUSED_SECONDS = (0.5, 15.0)


class Operator:
    """One person; draws nothing where the plan has nothing for them to do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.catalogue = MemoryCatalogue(world.database)
        self.asked = 0
        """How often there were too many deletions."""
        self.allowed_at = math.inf
        """When they were allowed for the first time."""

    def begin(self) -> None:
        """Whatever the plan has."""
        plan, chance = self.world.plan, self.world.chance
        for _ in range(plan.pauses):
            lane = chance.choice(plan.remotes), chance.choice(list(Direction))
            self.world.spawn(self._pause(lane, chance.uniform(1, 20), chance.uniform(*PAUSED_SECONDS)))
        if plan.deletions is not None:
            self.world.spawn(self._answer())

    async def _pause(self, lane: Lane, start: float, seconds: float) -> None:
        await asyncio.sleep(start)
        self.world.trace("paused", lane)
        await self._do(lane, pause=True)
        await asyncio.sleep(seconds)
        self.world.trace("resumed", lane)
        await self._do(lane, pause=False)

    async def _answer(self) -> None:
        while True:
            await asyncio.sleep(self.world.plan.asked_seconds)
            for lane in [(name, direction) for name in self.world.plan.remotes for direction in Direction]:
                if await self._is_asked(lane):
                    self.asked += 1
                    self.allowed_at = min(self.allowed_at, self.world.loop.time())
                    self.world.trace("allowed", lane)
                    await self._do(lane, pause=False, reason=By.DELETIONS)

    async def _is_asked(self, lane: Lane) -> bool:
        try:
            async with self.catalogue.transaction() as tx:
                return any(each.by is By.DELETIONS for each in await closures(tx.checkpoints, lane))
        except Busy:
            return False  # the next look will tell

    async def _do(self, lane: Lane, *, pause: bool, reason: By = By.OPERATOR) -> None:
        now = self.world.loop.time()
        while True:
            try:
                async with self.catalogue.transaction() as tx:
                    if pause:
                        await close(tx, lane, Closure(reason, now, "somebody"))
                        return
                    if reason is By.DELETIONS:
                        await allow(tx.checkpoints, lane, now)
                    await reopen(tx, lane, {reason})
                    return
            except Busy:
                await asyncio.sleep(0.1)
