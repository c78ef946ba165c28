"""Entities that stand still: a mapped table or column is not there any more.

Nothing of such an entity is delivered, and nothing of it becomes a dead letter: its work is put aside in the state, so
that its messages count as done and all other entities go on. When the table can be read again, what was put aside is
taken up; nobody has to restart anything.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from bothways.flow.context import Context
from bothways.flow.lanes import dump_trigger, kept, trigger_of
from bothways.flow.routes import Work, WorkKey
from bothways.flow.steady import Steady
from bothways.model.change import Change, Operation, Position
from bothways.model.errors import Busy, MappingBroken
from bothways.model.outcome import Direction, Parked
from bothways.ports import Transaction
from bothways.sync.held import Trigger

LOOK_SECONDS = 5.0
"""So often an entity that stands still is tried again."""
ROUND_SECONDS = 60.0
"""So often all are tried, and what another worker may have left behind is taken up."""
PREFIX = "halted:"

_log = structlog.get_logger(__name__)


class Halted:
    """A ``ports.Role`` beside delivery: knows which entities stand still, and looks whether they can go on."""

    name = "mappings"

    def __init__(self, context: Context, *, look_seconds: float = LOOK_SECONDS) -> None:
        self.context, self.look_seconds = context, look_seconds
        self.reasons: dict[str, str] = {}
        """Entity → why it stands still."""

    @property
    def entities(self) -> Sequence[str]:
        """All that are mapped to a remote system."""
        return list(dict.fromkeys(entity for entity, _ in self.context.mappings))

    def ready(self) -> str | None:
        told = [f"{entity} stands still: {reason}" for entity, reason in self.reasons.items()]
        return "; ".join(told) or None

    async def run(self) -> None:
        """Look at all at first and every minute, at those that stand still more often."""
        loop, all_again = asyncio.get_running_loop(), 0.0
        while True:
            everybody = loop.time() >= all_again
            if everybody:
                all_again = loop.time() + ROUND_SECONDS
            for entity in self.entities if everybody else list(self.reasons):
                await self._look(entity)
            await asyncio.sleep(self.look_seconds)

    async def put_aside(self, key: WorkKey, items: Sequence[Work], error: MappingBroken | None = None) -> None:
        """Keep this work in the state until its entity can go on; ``error``, which names one, is what it met if tried.

        Work that is in the state anyway (an attempt in flight, what waits for something else) comes again from there.
        """
        entity = (error.entity if error is not None else None) or key.entity
        if error is not None:
            self._halt(entity, error)
        parked = [each for each in (self._parked(key, item, entity) for item in items) if each is not None]
        if parked:
            await Steady(self.context, key.system).retried(self._park, parked)
        if entity not in self.reasons:  # it was found whole meanwhile: whoever found that did not see these
            await Steady(self.context, key.system).retried(self._wake, entity)

    # ---------------------------------------------------------------------------------------------------- one entity

    async def _look(self, entity: str) -> None:
        try:
            async with self.context.catalogue.transaction() as tx:
                await tx.search.page(entity, None, 1)
            if self.reasons.pop(entity, None) is not None:
                _log.info("entity.goes_on", entity=entity)
            await self._wake(entity)
        except MappingBroken as error:
            self._halt(entity, error)
        except Busy as error:
            _log.warning("mappings.busy", error=str(error))

    def _halt(self, entity: str, error: MappingBroken) -> None:
        if entity not in self.reasons:
            _log.error("entity.halted", entity=entity, reason=str(error))
        self.reasons[entity] = str(error)

    async def _park(self, parked: Sequence[Parked]) -> None:
        async with self.context.catalogue.transaction() as tx:
            for each in parked:
                await tx.waiting.park(each)

    async def _wake(self, entity: str) -> None:
        async with self.context.catalogue.transaction() as tx:
            await wake(tx, entity)

    # ------------------------------------------------------------------------------------------------ what is put aside

    def _parked(self, key: WorkKey, item: Work, entity: str) -> Parked | None:
        """The work as it waits; None where the state brings it again by itself."""
        of_ours = item.parked is not None and item.parked.startswith(PREFIX)
        if key.direction is Direction.IN:
            if item.event is None or item.again:
                return None
            name, payload = item.parked or f"in:{key.system}:{item.event.id}", item.payload
        elif of_ours:
            name, payload = item.parked or "", self._payload(key, item)
        elif item.change is None or item.parked is not None:
            return None
        else:
            payload = self._payload(key, item)
            name = f"{PREFIX}{key.system}:{key.entity}:{_place(item.change) if payload else key.key}"
        return Parked(name, key.direction, key.system, key.entity, key.key, _name(entity), payload)

    def _payload(self, key: WorkKey, item: Work) -> str:
        """What the change tells that the row will not: a deletion, a changed key, when a value came to be.

        Empty where there is nothing of that: then all that counts is that the record changed, however often it did.
        """
        trigger = kept(self.context.mappings[key.entity, key.system], trigger_of([item]))
        move = _move(item.change) if item.change is not None else None
        if move is None and trigger == Trigger():
            return ""
        told = json.loads(dump_trigger(trigger))
        return json.dumps(told if move is None else {**told, "move": move}, separators=(",", ":"))


async def wake(tx: Transaction, entity: str) -> None:
    """What was put aside for this entity is due now."""
    await tx.waiting.wake(_name(entity))


def move_of(parked: Parked) -> Change | None:
    """The changed key that was put aside with this work, if there is one."""
    if not parked.id.startswith(PREFIX) or not parked.payload:
        return None
    move = json.loads(parked.payload).get("move")
    if move is None:
        return None
    return Change(
        entity=parked.entity,
        key=parked.key,
        operation=Operation(move["op"]),
        before=None,
        after=None,
        origin=None,
        cause=None,
        position=Position.parse(move["position"]),
        committed_ms=move["committed_ms"],
        moved_to=move["to"],
        moved_from=move["from"],
    )


def _move(change: Change) -> Mapping[str, Any] | None:
    if change.moved_from is None and change.moved_to is None:
        return None
    return {
        "op": change.operation.value,
        "position": str(change.position),
        "committed_ms": change.committed_ms,
        "to": change.moved_to,
        "from": change.moved_from,
    }


def _place(change: Change) -> str:
    """So written that the order of texts is that of the changes."""
    return ":".join([change.position.source, *(f"{number:020d}" for number in change.position.order)])


def _name(entity: str) -> str:
    return f"mapping:{entity}"
