"""The role that reads the log and does what has to be done, both ways: in order per record, many records at a time."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from bothways.flow.context import Context
from bothways.flow.dispatch import Dispatcher, Offsets
from bothways.flow.halted import Halted
from bothways.flow.inward import Inward
from bothways.flow.lanes import Lanes, trigger_of
from bothways.flow.moving import Moving
from bothways.flow.outward import Outward
from bothways.flow.places import Places
from bothways.flow.routes import Routes, Unreadable, Work, WorkKey
from bothways.flow.steady import Steady
from bothways.flow.sweep import Sweeper
from bothways.model.errors import BothwaysError, Forbidden, MappingBroken, SettingsError, SourceLost, Transient
from bothways.model.outcome import DeadLetter, Direction
from bothways.model.pause import Closure, Lane
from bothways.model.record import RecordId
from bothways.ports import Consumer, Delivered, Log, Partition

OF_NO_RECORD = (SettingsError, Forbidden, SourceLost, Transient)
"""Errors that end the role, since other records would meet them, too."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pacing:
    """How much is under way at a time."""

    held: int = 2000
    """Messages read and not done."""
    calls: int = 32
    """Records of one system that are being sent at a time; the others wait with nothing written down."""
    poll_messages: int = 500
    poll_seconds: float = 1.0
    commit_seconds: float = 0.5
    sweep_seconds: float = 2.0
    look_seconds: float = 1.0
    """How often a worker looks at what is paused."""
    stop_seconds: float = 5.0
    """How long calls under way may take when the worker stops; what they did is found out after the next start."""


class Deliver:
    """One worker of the consumer group that keeps both sides in step."""

    name = "deliver"

    def __init__(self, context: Context, log: Log, routes: Routes, *, group: str, pacing: Pacing | None = None) -> None:
        self.context, self.log, self.routes, self.group = context, log, routes, group
        self.pacing = pacing or Pacing()
        self.outward = {system: Outward(context, system) for system in context.remotes}
        self.moving = {system: Moving(context, system) for system in context.remotes}
        self.inward = {system: Inward(context, system) for system in context.remotes}
        self.lanes = Lanes(context, self.pacing.look_seconds)
        self.halted = Halted(context)
        """Which entities stand still; a role of its own, beside this one."""
        self.done_total = {Direction.OUT: 0, Direction.IN: 0}
        self._running: str | None = "not started"

    def ready(self) -> str | None:
        """Also says which system refuses our key. What somebody paused is not down: see ``paused``."""
        refused = {system: self.lanes.refused(system) for system in self.context.remotes}
        return self._running or "; ".join(f"{name} is paused: {why}" for name, why in refused.items() if why) or None

    def paused(self) -> Mapping[Lane, tuple[Closure, ...]]:
        """What is paused, and why."""
        return dict(self.context.closed)

    async def run(self) -> None:
        """Read, deal with, commit; on cancellation finish what is under way for a moment, commit, leave the group."""
        self._places = Places(self.context.remotes, self.pacing.calls)
        self._offsets = Offsets()
        self._dispatcher: Dispatcher[WorkKey, Work] = Dispatcher(self._handle, limit=self.pacing.held)
        consumer = self.log.consumer(self.group, self.routes.topics, self._offsets.forget)
        sweeper = Sweeper(self.context, self.routes.feeds, self._dispatcher.put, self.pacing.sweep_seconds)
        tasks: list[asyncio.Future[None]] = [
            asyncio.create_task(self._read(consumer)),
            asyncio.create_task(self._commit_always(consumer)),
            asyncio.create_task(sweeper.run()),
            asyncio.create_task(self.lanes.run()),
            asyncio.ensure_future(self._dispatcher.failed()),
        ]
        self._running = None
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._running = "stopped"
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._dispatcher.close()
            self._places.give_up()
            await self._dispatcher.stop(self.pacing.stop_seconds)
            with suppress(BothwaysError):
                await consumer.commit(self._offsets.committable())
            await consumer.close()

    async def _read(self, consumer: Consumer) -> None:
        while True:
            for message in await consumer.poll(self.pacing.poll_messages, self.pacing.poll_seconds):
                await self._put(message)

    async def _put(self, message: Delivered) -> None:
        partition: Partition = (message.topic, message.partition)
        self._offsets.began(partition, message.offset)
        finish = self._finisher(partition, message.offset)
        try:
            work = self.routes.work(message)
        except Unreadable as error:
            await self._keep_unreadable(message, error)
            work = ()
        if not work:
            finish()
            return
        left = len(work)

        def one_done() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                finish()

        for key, item in work:
            await self._dispatcher.put(key, item, one_done)

    def _finisher(self, partition: Partition, offset: int) -> Callable[[], None]:
        return lambda: self._offsets.finished(partition, offset)

    async def _commit_always(self, consumer: Consumer) -> None:
        while True:
            await asyncio.sleep(self.pacing.commit_seconds)
            try:
                await self._offsets.commit(consumer.commit)
            except Transient as error:
                _log.warning("commit.failed", error=str(error))

    # ----------------------------------------------------------------------------------------------- one record's work

    async def _handle(self, key: WorkKey, items: list[Work]) -> None:
        if key.entity in self.halted.reasons:
            await self.halted.put_aside(key, items)
            return
        try:
            if key.direction is Direction.OUT:
                await self._send(key, items)
            else:
                for item in items:
                    await self._receive(key, item)
        except MappingBroken as error:
            if error.entity is None:
                raise
            await self.halted.put_aside(key, items, error)
            return
        except OF_NO_RECORD:
            raise
        except Exception as error:  # noqa: BLE001 - what goes wrong with one record must not stop the others
            _log.exception("delivery.fault", direction=key.direction, system=key.system, entity=key.entity, key=key.key)
            await self._keep_fault(key, items, error)
            await self._unpark(key, items)
        self.done_total[key.direction] += len(items)

    async def _send(self, key: WorkKey, items: Sequence[Work]) -> None:
        outward, moving = self.outward[key.system], self.moving[key.system]

        async def work() -> None:
            if await outward.deliver(RecordId(key.entity, key.key), trigger_of(items)):
                await self._unpark(key, items)

        place = partial(self._places.place, key.system)
        for change in [item.change for item in items if item.change is not None]:
            if change.moved_from is not None:
                await moving.arrive(change, change.moved_from, key.key, place)
            if change.moved_to is not None:
                async with place():
                    await moving.leave(change, key.key, change.moved_to)
        async with place():
            await self.lanes.unless_paused(key, items, work)

    async def _receive(self, key: WorkKey, item: Work) -> None:
        event = item.event
        if event is None:
            return

        async def work() -> None:
            if await self.inward[key.system].receive(event, item.payload, again=item.again):
                await self._unpark(key, [item])

        await self.lanes.unless_paused(key, [item], work)

    async def _unpark(self, key: WorkKey, items: Sequence[Work]) -> None:
        parked = [item.parked for item in items if item.parked is not None]
        if parked:
            await Steady(self.context, key.system).retried(self._unpark_all, parked)

    async def _unpark_all(self, parked: Sequence[str]) -> None:
        async with self.context.catalogue.transaction() as tx:
            for each in parked:
                await tx.waiting.unpark(each)

    # --------------------------------------------------------------------------------------------- what cannot be done

    async def _keep_fault(self, key: WorkKey, items: Sequence[Work], error: Exception) -> None:
        reason, hint = _explained(error)
        payload = next((item.payload for item in items if item.payload), "{}")
        letter = DeadLetter(key.direction, key.system, key.entity, key.key, None, reason, hint, payload)
        await Steady(self.context, key.system).retried(self._note, letter)

    async def _keep_unreadable(self, message: Delivered, error: Unreadable) -> None:
        letter = DeadLetter(
            Direction.IN if error.system else Direction.OUT,
            error.system,
            error.entity,
            (message.key or b"").decode(errors="replace"),
            None,
            str(error),
            "something else writes to this topic, or the message was damaged",
            (message.value or b"").decode(errors="replace"),
            f"{message.topic}/{message.partition}@{message.offset}",
        )
        await Steady(self.context, error.system).retried(self._note, letter)

    async def _note(self, letter: DeadLetter) -> None:
        async with self.context.catalogue.transaction() as tx:
            await tx.journal.note(letter)


def _explained(error: Exception) -> tuple[str, str]:
    """Reason and hint: in the error's own words where it is one that was foreseen, though not here."""
    if isinstance(error, BothwaysError):
        return error.message, error.hint or "change the value, or what refuses it, and replay the letter"
    where = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"a fault in bothways: {type(error).__name__} at {where.name}:{where.lineno}",
        "replay the letter after an update; please report it with the log's traceback",
    )
