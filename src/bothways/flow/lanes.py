"""Part of each delivery worker: what is paused, and the work that waits for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

import structlog

from bothways.flow.brake import Brake, HeldBack
from bothways.flow.context import Context
from bothways.flow.pausing import closures, park, reopen, see
from bothways.flow.routes import Work, WorkKey
from bothways.flow.steady import Steady
from bothways.model.change import Operation
from bothways.model.errors import Busy, Forbidden, Transient
from bothways.model.outcome import Direction, Parked
from bothways.model.pause import By, Lane, lane_name
from bothways.sync.held import Trigger
from bothways.sync.mapping import LATEST, EntityMapping

_log = structlog.get_logger(__name__)


class Lanes:
    """Looks again and again at what is paused; takes work that has to wait."""

    def __init__(self, context: Context, every_seconds: float) -> None:
        self.context, self.every_seconds = context, every_seconds
        self._together = {
            (system, way): _Together(context, (system, way)) for system in context.remotes for way in Direction
        }
        self._brakes = {system: Brake(context, system) for system in context.remotes}
        self._asked: dict[str, float] = {}
        """System → when it was last asked whether it takes our key again."""
        self._looked = False
        self._first = asyncio.Lock()

    async def look(self) -> None:
        """See what is paused now."""
        lanes = [(system, direction) for system in self.context.remotes for direction in Direction]
        async with self.context.catalogue.transaction() as tx:
            found = {lane: await closures(tx.checkpoints, lane) for lane in lanes}
        for lane, reasons in found.items():
            see(self.context, lane, reasons)
        self._looked = True

    async def run(self) -> NoReturn:
        """Look, and ask systems that refuse our key whether they still do."""
        while True:
            try:
                await self.look()
                for system in self.context.remotes:
                    if self.refused(system) is not None:
                        await self._ask(system)
            except Busy as error:
                _log.warning("lanes.busy", error=str(error))
            await asyncio.sleep(self.every_seconds)

    def refused(self, system: str) -> str | None:
        """Why a system refuses our key, if it does: for as long as either direction is paused for it."""
        found = [each for way in Direction for each in self.context.closed.get((system, way), ())]
        return next((each.reason for each in found if each.by is By.KEY), None)

    async def _ask(self, system: str) -> None:
        now = self.context.clock.now()
        if now - self._asked.get(system, -self.context.patience.forbidden) < self.context.patience.forbidden:
            return
        self._asked[system] = now
        kind = next(mapping.object for (_, known), mapping in self.context.mappings.items() if known == system)
        try:
            await self.context.remotes[system].page(kind, None, 1)
        except (Forbidden, Transient):
            return
        async with self.context.catalogue.transaction() as tx:
            left = {(system, way): await reopen(tx, (system, way), {By.KEY}) for way in Direction}
        for lane, reasons in left.items():
            see(self.context, lane, reasons)

    async def unless_paused(self, key: WorkKey, items: Sequence[Work], work: Callable[[], Awaitable[None]]) -> None:
        """Do the work, or let it wait in the state: where its lane is paused, or is by what the work would do."""
        lane, steady = (key.system, key.direction), Steady(self.context, key.system)
        async with self._first:
            if not self._looked:
                await steady.retried(self.look)
        while True:
            if lane in self.context.closed and await self._together[lane].park(self._parked(key, items, lane)):
                return
            try:
                await work()
            except HeldBack as held:
                if await steady.retried(self._brakes[key.system].trip, held):
                    lane = held.lane
            else:
                return

    def _parked(self, key: WorkKey, items: Sequence[Work], lane: Lane) -> Sequence[Parked]:
        """What was parked before keeps its id. What is new gets one of its own: nobody's done work takes it away."""
        new = [item for item in items if item.parked is None]
        found = [self._entry(key, lane, item.parked, _payload(item)) for item in items if item.parked is not None]
        if key.direction is Direction.IN:
            return [*found, *(self._entry(key, lane, f"lane:{self.context.new_id()}", item.payload) for item in new)]
        trigger = trigger_of(new)
        if trigger.deleted or any(item.change is not None for item in new):
            told = dump_trigger(kept(self.context.mappings[key.entity, key.system], trigger))
            found.append(self._entry(key, lane, f"lane:{self.context.new_id()}", told))
        elif new:  # an attempt that nobody has finished: the link says so, too
            found.append(self._entry(key, lane, f"due:{key.system}:{key.entity}:{key.key}", ""))
        return found

    def _entry(self, key: WorkKey, lane: Lane, id: str, payload: str) -> Parked:
        return Parked(id, key.direction, key.system, key.entity, key.key, lane_name(lane), payload)


class _Together:
    """Parks the work of one lane: what comes while a transaction is under way goes into the next one together."""

    def __init__(self, context: Context, lane: Lane) -> None:
        self.context, self.lane = context, lane
        self._steady = Steady(context, lane[0])
        self._turn = asyncio.Lock()
        self._waiting: dict[asyncio.Future[bool], Sequence[Parked]] = {}

    async def park(self, work: Sequence[Parked]) -> bool:
        """As ``pausing.park``."""
        mine: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[mine] = work
        try:
            async with self._turn:
                if not mine.done():
                    await self._park_all()
            return mine.result()
        finally:
            self._waiting.pop(mine, None)

    async def _park_all(self) -> None:
        """All that waits now; should it fail, whoever is next tries again what still waits."""
        taken = dict(self._waiting)
        parked = [each for work in taken.values() for each in work]
        done = await self._steady.retried(park, self.context, self.lane, parked)
        for future in taken:
            if not future.done():
                future.set_result(done)


def _payload(item: Work) -> str:
    return dump_trigger(item.trigger) if item.trigger is not None else item.payload


def kept(mapping: EntityMapping, trigger: Trigger) -> Trigger:
    """What of it has to be remembered: times of edits matter where the later one wins, and nowhere else."""
    timed = any(each.wins == LATEST for each in mapping.fields)
    return trigger if timed else Trigger(trigger.deleted, (), trigger.deleted_at)


def trigger_of(items: Sequence[Work]) -> Trigger:
    """What these say of their record, together."""
    changes = [item.change for item in items if item.change is not None]
    waited = [item.trigger for item in items if item.trigger is not None]
    gone = [c.committed_ms / 1000 for c in changes if c.operation is Operation.DELETE and c.moved_to is None]
    gone += [each.deleted_at for each in waited if each.deleted_at is not None]
    edits = [(c.committed_ms / 1000, c.after) for c in changes if c.after is not None]
    edits += [edit for each in waited for edit in each.changes]
    deleted = bool(gone) or any(each.deleted for each in waited)
    return Trigger(deleted, tuple(sorted(edits, key=lambda edit: edit[0])), max(gone, default=None))


def dump_trigger(trigger: Trigger) -> str:
    """As the payload of what is parked."""
    return json.dumps({"deleted": trigger.deleted, "at": trigger.deleted_at, "changes": trigger.changes})


def load_trigger(payload: str) -> Trigger | None:
    """The inverse; None where nothing was kept."""
    if not payload:
        return None
    found = json.loads(payload)
    return Trigger(found["deleted"], tuple((at, after) for at, after in found["changes"]), found["at"])
