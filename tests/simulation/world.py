"""One simulated installation: people who edit both sides, processes that are killed, and everything between them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine

from bothways.eventlog.codec import encode_change
from bothways.model.change import Change, Position
from bothways.model.link import Link
from bothways.ports import Message, Topic
from bothways.sync.mapping import lookup
from tests.simulation.catalogue import Committed, Faults, MemoryDatabase
from tests.simulation.lineage import Lineage
from tests.simulation.log import MemoryLog
from tests.simulation.loop import VirtualLoop
from tests.simulation.operator import Operator
from tests.simulation.oracle import Oracle
from tests.simulation.people import People
from tests.simulation.plan import Plan, plan_of
from tests.simulation.process import CHANGES, Process, events_topic
from tests.simulation.remote import Happened, MemoryService, RemoteFaults, Thing
from tests.simulation.schema import PATHS, kinds, normalise, refuses, wins

QUIET_SECONDS = 6.0
"""So long nothing may happen before a history counts as at rest; what waits for longer is looked for by name."""
REST_SECONDS = 400.0
"""So long after the last edit everything must be at rest."""
OUTAGE_SECONDS = (33.0, 50.0)


class World:
    """See the module."""

    def __init__(self, seed: int, plan: Plan, loop: VirtualLoop, trace: Callable[[str], None] | None = None) -> None:
        self.plan, self.loop, self.chance = plan, loop, loop.chance
        self.seed, self.tell = seed, trace
        self.ids = 0
        self.kinds = kinds(plan)
        tables = {entity: kind.table for entity, kind in self.kinds.items()}
        self.database = MemoryDatabase(tables, self.chance, self.new_id)
        self.database.faults = plan.catalogue
        self.database.on_commit = self._committed
        self.log = MemoryLog(self.chance)
        self.services = {name: self._service(name) for name in plan.remotes}
        self.lineage = Lineage(wins(plan), ("a",) if plan.latest else ())
        self.people = People(self)
        self.operator = Operator(self)
        self.processes: list[Process] = []
        self.zombies: list[Process] = []
        self.started = self.absent = 0
        self.faulty = True
        self.captured = 0
        self.to_capture = asyncio.Event()
        self.capturing = asyncio.Event()
        self.capturing.set()
        self.hooks_open = 0
        self.polled = dict.fromkeys(plan.remotes, 0)
        self.pairs: dict[str, str] = {}
        """Remote id → the token of the first pair that it was one of."""
        self.background: set[asyncio.Task[None]] = set()

    def new_id(self) -> str:
        """Unlike any other."""
        self.ids += 1
        return f"id{self.ids}"

    def trace(self, *words: object) -> None:
        """One line of the history."""
        if self.tell is not None:
            self.tell(f"{self.loop.time():9.3f} " + " ".join(map(str, words)))

    # ----------------------------------------------------------------------------------------------------- plumbing

    def _service(self, name: str) -> MemoryService:
        service = MemoryService(name, self.chance, normalise)
        service.faults = self.plan.remote
        service.on_event = self._hook(name)
        service.tell = self.trace
        if self.plan.latest:
            service.on_show = self._shown
        if self.plan.refusing:
            service.refuses = refuses
            service.names_field = self.plan.named
        return service

    def _shown(self, thing: Thing) -> None:
        self.lineage.shown("a", lookup(thing.document, PATHS["a"]), self.loop.time())

    def _hook(self, name: str) -> Callable[[Happened], None]:
        def deliver(event: Happened) -> None:
            self.trace(name, "event", event.payload.decode())
            for _ in range(self.chance.choice(self.plan.hooks) if self.faulty else 1):
                late = self.chance.choice(self.plan.late_seconds) * self.chance.random()
                self.spawn(self._webhook(name, event, late))

        return deliver

    async def _webhook(self, name: str, event: Happened, late: float) -> None:
        self.hooks_open += 1
        await asyncio.sleep(late)
        await self.log.append([_message(name, event)])
        self.hooks_open -= 1

    async def poll(self, name: str) -> None:
        """A poll as people who hold the cursor might do it; histories with the real poller have it besides."""
        if self.plan.poller:
            return
        events = self.services[name].events
        start, self.polled[name] = self.polled[name], len(events)
        await self.log.append([_message(name, event) for event in events[start:]])

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run it beside everything else."""
        task = asyncio.ensure_future(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    def _committed(self) -> None:
        self.to_capture.set()
        links: list[Link] = list(self.database.select("link").values())
        for link in links:
            if link.remote_id is not None:
                self.pairs.setdefault(link.remote_id, link.token)

    async def _capture(self) -> None:
        """The catalogue's changes go on the log, in order, some time after their commit."""
        while True:
            await self.to_capture.wait()
            await self.capturing.wait()
            self.to_capture.clear()
            await asyncio.sleep(self.chance.random() * 0.05)
            while self.captured < len(self.database.wal):
                change = self.database.wal[self.captured]
                self.trace("captured", change.record, change.operation.value, change.origin, change.after)
                source = {"schema": "public", "table": change.record.entity}
                await self.log.append(encode_change(_change(change, self.captured), CHANGES, source))
                self.captured += 1

    # ---------------------------------------------------------------------------------------------------- processes

    def start_process(self) -> None:
        """A new worker joins."""
        self.started += 1
        self.trace("process", self.started)
        self.processes.append(Process(self, self.started))

    def crash(self) -> None:
        """A worker dies, or is only thought to be dead and goes on for a while; another takes over, now or later."""
        if not self.processes:
            return
        if self.chance.random() < self.plan.outage:
            self._black_out()
            return
        process = self.processes.pop(self.chance.randrange(len(self.processes)))
        zombie = self.chance.random() < self.plan.zombies
        self.trace("crash", process.number, "zombie" if zombie else "")
        process.leave()
        if zombie:
            self.zombies.append(process)
            self.loop.call_later(self.chance.random() * 8, process.kill)
        else:
            process.kill()
        self.start_process()

    def _black_out(self) -> None:
        """Everything of ours is down, so long that the remote forgets what it was sent."""
        self.trace("outage")
        for process in self.processes:
            process.leave()
            process.kill()
        self.processes.clear()
        self.absent += 1
        self.loop.call_later(self.chance.uniform(*OUTAGE_SECONDS), self._come_back)

    def _come_back(self) -> None:
        self.absent -= 1
        self.start_process()

    def _fall_silent(self, silent: bool) -> None:
        for service in self.services.values():
            service.silent = silent

    def _forbid(self, forbidden: bool) -> None:
        for service in self.services.values():
            service.forbidden = forbidden

    # -------------------------------------------------------------------------------------------------- the history

    async def run(self) -> str | None:
        """What is wrong at the end, or None."""
        await self.begin(self.chance.randint(1, self.plan.workers))
        if self.plan.down:
            start = self.chance.uniform(2, 12)
            self.loop.call_later(start, self._fall_silent, True)
            self.loop.call_later(start + self.chance.uniform(6, 10), self._fall_silent, False)
        if self.plan.forbidden:
            start = self.chance.uniform(2, 12)
            self.loop.call_later(start, self._forbid, True)
            self.loop.call_later(start + self.chance.uniform(1, 8), self._forbid, False)
        self.operator.begin()
        for _ in range(self.plan.edits):
            await asyncio.sleep(self.chance.expovariate(1 / self.plan.pause_seconds))
            self._act()
        return await self.settle()

    async def begin(self, workers: int) -> None:
        """Topics, capture, workers."""
        topics = [events_topic(name, entity) for name in self.services for entity in self.kinds]
        await self.log.ensure([Topic(CHANGES), *map(Topic, topics)])
        for _ in range(workers):
            self.start_process()
        self.spawn(self._capture())

    def _act(self) -> None:
        draw = self.chance.random()
        if draw < self.plan.crashes:
            self.crash()
        elif draw < self.plan.crashes + 0.04:
            self.spawn(self.poll(self.chance.choice(self.plan.remotes)))
        elif draw < 0.45:
            self.people.edit_database()
        else:
            self.people.edit_remote(self.chance.choice(self.plan.remotes))

    async def settle(self) -> str | None:
        """No more faults and no more people: everything must come to rest, both sides equal."""
        self.faulty = False
        self.database.faults = Faults(step_seconds=self.plan.catalogue.step_seconds)
        for name, service in self.services.items():
            service.faults = RemoteFaults(latency_seconds=self.plan.remote.latency_seconds)
            await self.poll(name)
        self.trace("--- settle")
        wrong = await self._rest()
        if wrong is None and self.plan.refusing and self.seed % 3:
            wrong = Oracle(self).objects()
            while wrong is None and self.people.put_right():
                wrong = await self._rest()
        return wrong or Oracle(self).objects()

    async def _rest(self) -> str | None:
        deadline = self.loop.time() + REST_SECONDS
        while (unrest := await self._unrest()) is not None:
            if self.loop.time() > deadline:
                return f"never at rest: {unrest}"
        return None

    async def _unrest(self) -> str | None:
        """What still goes on, after some quiet time."""
        calls, wal = sum(s.calls for s in self.services.values()), len(self.database.wal)
        await asyncio.sleep(QUIET_SECONDS)
        for name, service in self.services.items():
            if not self.plan.poller and self.polled[name] < len(service.events):
                await self.poll(name)
                return "new events"
        if calls != sum(s.calls for s in self.services.values()) or wal != len(self.database.wal):
            return "calls or writes"
        if self.absent or any(zombie.alive for zombie in self.zombies):
            return "somebody is neither dead nor alive"
        if parked := self.database.select("parked"):
            return f"parked: {parked}"
        for link in self.database.select("link").values():
            if link.attempt is not None:
                return f"an attempt is open: {link}"
        behind = self.log.behind("deliver")
        held = [list(process.deliver._dispatcher._queues) for process in self.processes]
        if behind or self.hooks_open or any(held):
            return f"{behind} messages are not committed, under way: {held}"
        return None


def _message(system: str, event: Happened) -> Message:
    return Message(events_topic(system, event.kind), event.object_id.encode(), event.payload)


def _change(change: Committed, number: int) -> Change:
    return Change(
        entity=change.record.entity,
        key=change.record.key,
        operation=change.operation,
        before=change.before,
        after=change.after,
        origin=change.origin,
        cause=change.cause,
        position=Position("memory", (number, 0)),
        committed_ms=int(change.at * 1000),
        moved_to=change.moved_to,
        moved_from=change.moved_from,
    )


def simulate(seed: int, plan: Plan | None = None, trace: Callable[[str], None] | None = None) -> str | None:
    """One history; what went wrong in it, or None."""
    name, usual = plan_of(seed)

    async def run(loop: VirtualLoop) -> str | None:
        world = World(seed, plan or usual, loop, trace)
        world.trace("seed", seed, "-", name if plan is None else plan)
        return await world.run()

    return in_virtual_time(seed, run)


def in_virtual_time(seed: int, run: Callable[[VirtualLoop], Coroutine[None, None, str | None]]) -> str | None:
    """Run it to its end on a loop of its own."""
    loop = VirtualLoop(random.Random(seed), start=1000.0)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(run(loop))
    finally:
        loop.bury()
        asyncio.set_event_loop(None)
