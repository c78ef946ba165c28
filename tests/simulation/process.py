"""One process of ours: the real delivery and, where the plan says so, the real poller, on adapters in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bothways.flow.context import Context
from bothways.flow.deliver import Deliver
from bothways.flow.poll import Poller
from bothways.flow.routes import Routes
from tests.simulation.catalogue import MemoryCatalogue
from tests.simulation.loop import VirtualClock
from tests.simulation.plan import PACING
from tests.simulation.remote import MemoryRemote

if TYPE_CHECKING:
    from tests.simulation.world import World

INSTALLATION = "here"
CHANGES = "changes"
POLL_SECONDS = 3.0


def events_topic(system: str, entity: str) -> str:
    """Where a remote's events of one entity go."""
    return f"events.{system}.{entity}"


class Process:
    """One worker; several may live at a time, and the dead do not know that they are."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number, self.alive = world, number, True
        self.catalogue = MemoryCatalogue(world.database, lambda: self.alive)
        self.remotes = {name: MemoryRemote(service, lambda: self.alive) for name, service in world.services.items()}
        self.context = Context(
            catalogue=self.catalogue,
            remotes=self.remotes,
            mappings={(e, name): kind.mappings[name] for e, kind in world.kinds.items() for name in self.remotes},
            installation=INSTALLATION,
            clock=VirtualClock(world.loop, skew=world.chance.choice((0.0, -3.0, 7.0))),
            new_id=world.new_id,
            random=world.chance,
            patience=world.plan.patience,
            deletions={} if world.plan.deletions is None else dict.fromkeys(self.remotes, world.plan.deletions),
        )
        routes = Routes(
            self.context,
            tables={CHANGES: {f"public.{entity}": entity for entity in world.kinds}},
            events={events_topic(name, entity): (name, entity) for name in self.remotes for entity in world.kinds},
            feeds=self.remotes,
        )
        self.deliver = Deliver(self.context, world.log, routes, group="deliver", pacing=PACING)
        self.tasks = [asyncio.ensure_future(self.deliver.run())]
        if world.plan.poller:
            self.tasks += [asyncio.ensure_future(self._poller(name).run()) for name in self.remotes]

    def _poller(self, name: str) -> Poller:
        topics = {entity: [events_topic(name, entity)] for entity in self.world.kinds}
        return Poller(
            self.remotes[name],
            self.catalogue,
            self.world.log,
            self.context.clock,
            system=name,
            topics=topics,
            interval=POLL_SECONDS,
            chance=self.world.chance,
        )

    def busy(self) -> bool:
        """Whether something is under way."""
        return self.deliver._dispatcher.held > 0

    def ended(self) -> str | None:
        """A role that is not running any more, and why."""
        done = [task for task in self.tasks if task.done()]
        return f"a role ended: {done[0].exception()!r}" if done else None

    def leave(self) -> None:
        """The group believes it dead."""
        for member in list(self.world.log.members.get("deliver", ())):
            if getattr(member.revoked, "__self__", None) is self.deliver._offsets:
                self.world.log.leave(member)

    def kill(self) -> None:
        """SIGKILL: nothing of it runs on; what it sent goes on at the remote."""
        self.alive = False
        self.catalogue.kill()
