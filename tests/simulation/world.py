"""One simulated installation: people who edit both sides, processes that are killed, and everything between them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace

from bothways.eventlog.codec import encode_change
from bothways.flow.context import Context, Patience
from bothways.flow.deliver import Deliver, Pacing
from bothways.flow.routes import Routes
from bothways.model.change import Change, Operation, Position
from bothways.model.outcome import Conflict, DeadLetter
from bothways.model.record import RecordId
from bothways.model.values import Value
from bothways.ports import Message, Topic
from bothways.sync.mapping import DATABASE as DATABASE_WINS
from bothways.sync.mapping import EntityMapping, FieldMap, Ways, lookup
from tests.simulation.catalogue import Committed, Faults, MemoryCatalogue, MemoryDatabase, Table
from tests.simulation.lineage import DATABASE, Lineage, norm
from tests.simulation.log import MemoryLog
from tests.simulation.loop import VirtualClock, VirtualLoop
from tests.simulation.remote import Happened, MemoryRemote, MemoryService, RemoteFaults, Thing

ENTITY = "customer"
FIELDS = ("a", "b", "c", "d")
PATHS = {"a": "a", "b": "nested.b", "c": "c", "d": "metadata.d", "e": "metadata.e"}
WINS = {"stripe": {"b": "stripe"}, "salesforce": {"d": "salesforce"}}
PATIENCE = Patience(
    lease=6.0,
    other_worker=2.0,
    retries=4.0,
    first=0.05,
    most=1.0,
    key_margin=8.0,
    attempt_ends=1.0,
    forbidden=2.0,
)
PACING = Pacing(held=200, calls=16, poll_seconds=0.5, commit_seconds=0.3, sweep_seconds=1.0, stop_seconds=1.0)


CATALOGUE_FAULTS = Faults(busy=0.01, lost_commit=0.01)
REMOTE_FAULTS = RemoteFaults(
    before=0.04, lost=0.04, stored=0.02, stored_after=0.01, limited=0.02, latency_seconds=0.4, slow=0.05
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a history is made of."""

    remotes: tuple[str, ...] = ("stripe",)
    edits: int = 60
    pause_seconds: float = 0.35
    """Mean time between two actions of anybody."""
    crashes: float = 0.04
    """Share of actions that are a crash."""
    moves: float = 0.03
    catalogue: Faults = CATALOGUE_FAULTS
    remote: RemoteFaults = REMOTE_FAULTS


def table() -> Table:
    """The catalogue's table: ``d`` is trimmed and ``e`` is made by a trigger."""

    def derive(row: dict[str, Value]) -> None:
        row["d"] = str(row["d"]).strip() if row["d"] is not None else None
        row["e"] = f"from {row['b']}"

    return Table(columns=("id", *FIELDS, "e"), derive=derive)


def mapping(system: str) -> EntityMapping:
    """How the table stands for the objects of a system."""
    wins = WINS[system]
    fields = [FieldMap(c, PATHS[c], wins=wins.get(c, DATABASE_WINS)) for c in FIELDS]
    return EntityMapping(ENTITY, system, "thing", (*fields, FieldMap("e", PATHS["e"], ways=Ways.OUT)))


def normalise(path: str, value: Value) -> Value:
    """What a remote makes of what it is sent."""
    if isinstance(value, str) and path == "c":
        return value.strip().lower()
    return None if value == "" else value


class Process:
    """One worker; several may live at a time, and the dead do not know that they are."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number, self.alive = world, number, True
        self.catalogue = MemoryCatalogue(world.database, lambda: self.alive)
        remotes = {name: MemoryRemote(service, "thing", lambda: self.alive) for name, service in world.services.items()}
        self.context = Context(
            catalogue=self.catalogue,
            remotes=remotes,
            mappings={(ENTITY, name): mapping(name) for name in remotes},
            installation="here",
            clock=VirtualClock(world.loop, skew=world.chance.choice((0.0, -3.0, 7.0))),
            new_id=world.new_id,
            random=world.chance,
            patience=PATIENCE,
        )
        routes = Routes(
            self.context,
            tables={"changes": {"public.customer": ENTITY}},
            events={f"events.{name}": (name, ENTITY) for name in remotes},
            feeds=remotes,
        )
        self.deliver = Deliver(self.context, world.log, routes, group="deliver", pacing=PACING)
        self.task = asyncio.ensure_future(self.deliver.run())

    def busy(self) -> bool:
        """Whether something is under way."""
        return self.deliver._dispatcher.held > 0

    def kill(self) -> None:
        """SIGKILL: nothing of it runs on; what it sent goes on at the remote."""
        self.alive = False
        self.catalogue.kill()


class World:
    """See the module."""

    def __init__(self, seed: int, plan: Plan, loop: VirtualLoop, trace: Callable[[str], None] | None = None) -> None:
        self.plan, self.loop, self.chance = plan, loop, loop.chance
        self.seed, self.tell = seed, trace
        self.ids = 0
        self.database = MemoryDatabase({ENTITY: table()}, self.chance, self.new_id)
        self.database.faults = plan.catalogue
        self.log = MemoryLog(self.chance)
        self.services: dict[str, MemoryService] = {}
        for name in plan.remotes:
            service = MemoryService(name, self.chance, normalise)
            service.faults = plan.remote
            service.on_event = self._hook(name)
            service.tell = self.trace
            self.services[name] = service
        wins = {column: name for name in plan.remotes for column, name in WINS[name].items()}
        self.lineage = Lineage(wins)
        self.processes: list[Process] = []
        self.zombies: list[Process] = []
        self.faulty = True
        self.captured = 0
        self.values = 0
        self.gone_keys: list[int] = []
        self.hooks_open = 0
        self.polled = dict.fromkeys(plan.remotes, 0)
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

    def _hook(self, name: str) -> Callable[[Happened], None]:
        def deliver(event: Happened) -> None:
            self.trace(name, "event", event.payload.decode())
            times = self.chance.choice((0, 1, 1, 1, 2)) if self.faulty else 1
            for _ in range(times):
                late = self.chance.choice((0.01, 0.1, 0.5, 3.0)) * self.chance.random()
                self._spawn(self._webhook(name, event, late))

        return deliver

    async def _webhook(self, name: str, event: Happened, late: float) -> None:
        self.hooks_open += 1
        await asyncio.sleep(late)
        await self.log.append([Message(f"events.{name}", event.object_id.encode(), event.payload)])
        self.hooks_open -= 1

    async def _poll(self, name: str) -> None:
        events = self.services[name].events
        start, self.polled[name] = self.polled[name], len(events)
        await self.log.append([Message(f"events.{name}", e.object_id.encode(), e.payload) for e in events[start:]])

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def _capture(self) -> None:
        """The catalogue's changes go on the log, in order, some time after their commit."""
        while True:
            while self.captured < len(self.database.wal):
                change = self.database.wal[self.captured]
                self.trace("captured", change.record.key, change.operation.value, change.origin, change.after)
                await self.log.append(encode_change(_change(change, self.captured), "changes", _SOURCE))
                self.captured += 1
            await asyncio.sleep(self.chance.random() * 0.05)

    # ------------------------------------------------------------------------------------------------------- people

    def value(self, column: str) -> str:
        """A value that nobody wrote before, sometimes one that a side will normalise."""
        self.values += 1
        value = f"{column}{self.values}"
        if column in "cd" and self.chance.random() < 0.5:
            return value.upper() + " " if column == "c" else value + " "
        return value

    def _rows(self) -> dict[RecordId, dict[str, Value]]:
        rows = {RecordId(entity, key): values for (entity, key), values in self.database.select("row").items()}
        return {r: v for r, v in rows.items() if ("row", r.entity, r.key) not in self.database.locks}

    def _commit(self, changes: Sequence[Committed]) -> None:
        for change in changes:
            name = ("row", ENTITY, change.record.key)
            if change.after is None:
                self.database.data.pop(name, None)
            else:
                self.database.data[name] = dict(change.after)
            self.database.wal.append(replace(change, at=self.loop.time()))

    def database_person(self) -> None:
        """Somebody edits a row: one statement, one commit."""
        rows, draw = self._rows(), self.chance.random()
        if draw < 0.25 or not rows:
            self._insert_row()
            return
        record = self.chance.choice(list(rows))
        before = rows[record]
        if draw < 0.86:
            column = self.chance.choice(FIELDS)
            after = {**before, column: self.value(column)}
            self.lineage.edit(DATABASE, column, before[column], after[column])
            table().derive(after)
            self.trace("db-update", record.key, column, after[column])
            self._commit([Committed(record, Operation.UPDATE, before, after, None, None, 0)])
        elif draw < 0.90:
            self.trace("db-replace", record.key)
            delete = Committed(record, Operation.DELETE, before, None, None, None, 0)
            self._commit([delete, Committed(record, Operation.CREATE, None, before, None, None, 0)])
        elif draw < 0.90 + self.plan.moves:
            self.database.next_key += 1
            new = _record(self.database.next_key - 1)
            self.trace("db-move", record.key, new.key)
            after = {**before, "id": self.database.next_key - 1}
            self._commit(
                [
                    Committed(record, Operation.DELETE, before, None, None, None, 0, moved_to=new.key),
                    Committed(new, Operation.CREATE, None, after, None, None, 0, moved_from=record.key),
                ]
            )
        else:
            self.trace("db-delete", record.key)
            self.gone_keys.append(json.loads(record.key)["id"])
            self._commit([Committed(record, Operation.DELETE, before, None, None, None, 0)])

    def _insert_row(self) -> None:
        key = self.database.next_key
        free = [k for k in self.gone_keys if ("row", ENTITY, _record(k).key) not in self.database.data]
        free = [k for k in free if ("row", ENTITY, _record(k).key) not in self.database.locks]
        if free and self.chance.random() < 0.5:
            key = self.chance.choice(free)
        else:
            self.database.next_key += 1
        row: dict[str, Value] = {"id": key, **{c: self.value(c) for c in FIELDS}, "e": None}
        table().derive(row)
        self.trace("db-insert", _record(key).key, row)
        self._commit([Committed(_record(key), Operation.CREATE, None, row, None, None, 0)])

    def remote_person(self, name: str) -> None:
        """Somebody edits an object by hand."""
        service, draw = self.services[name], self.chance.random()
        live = [thing for thing in service.things.values() if not thing.deleted]
        if draw < 0.15 or not live:
            thing = service.make({PATHS[c]: self.value(c) for c in FIELDS}, None, None)
            self.trace(name, "created by hand", thing.id, thing.document)
            return
        thing = self.chance.choice(live)
        if draw < 0.93:
            column = self.chance.choice(FIELDS)
            new = normalise(PATHS[column], self.value(column))
            self.lineage.edit(name, column, lookup(thing.document, PATHS[column]), new)
            self.trace(name, "edited by hand", thing.id, column, new)
            service.change(thing, {PATHS[column]: new}, None)
        else:
            self.trace(name, "deleted by hand", thing.id)
            service.remove(thing, None)

    # ---------------------------------------------------------------------------------------------------- processes

    def start_process(self) -> None:
        """A new worker joins."""
        self.processes.append(Process(self, len(self.processes)))

    def crash(self) -> None:
        """A worker dies, or is only thought to be dead and goes on for a while; another one takes over."""
        process = self.processes.pop(self.chance.randrange(len(self.processes)))
        zombie = self.chance.random() < 0.4
        self.trace("crash", process.number, "zombie" if zombie else "")
        for member in list(self.log.members.get("deliver", ())):
            if getattr(member.revoked, "__self__", None) is process.deliver._offsets:
                self.log.leave(member)
        if zombie:
            self.zombies.append(process)
            self.loop.call_later(self.chance.random() * 8, process.kill)
        else:
            process.kill()
        self.start_process()

    # -------------------------------------------------------------------------------------------------- the history

    async def run(self) -> str | None:
        """What is wrong at the end, or None."""
        await self.log.ensure([Topic("changes"), *(Topic(f"events.{name}") for name in self.services)])
        self.start_process()
        if self.chance.random() < 0.5:
            self.start_process()
        self._spawn(self._capture())
        for _ in range(self.plan.edits):
            await asyncio.sleep(self.chance.expovariate(1 / self.plan.pause_seconds))
            self._act()
        return await self._settle()

    def _act(self) -> None:
        draw = self.chance.random()
        if draw < self.plan.crashes:
            self.crash()
        elif draw < 0.08:
            self._spawn(self._poll(self.chance.choice(self.plan.remotes)))
        elif draw < 0.45:
            self.database_person()
        else:
            self.remote_person(self.chance.choice(self.plan.remotes))

    async def _settle(self) -> str | None:
        """No more faults and no more people: everything must come to rest, both sides equal."""
        self.faulty = False
        self.database.faults = Faults(step_seconds=self.plan.catalogue.step_seconds)
        for name, service in self.services.items():
            service.faults = RemoteFaults(latency_seconds=self.plan.remote.latency_seconds)
            await self._poll(name)
        self.trace("--- settle")
        deadline = self.loop.time() + 400
        while (unrest := await self._unrest()) is not None:
            if self.loop.time() > deadline:
                return f"never at rest: {unrest}"
        return self.check()

    async def _unrest(self) -> str | None:
        """What still goes on, after some quiet time."""
        calls, wal = sum(s.calls for s in self.services.values()), len(self.database.wal)
        await asyncio.sleep(15)
        for name, service in self.services.items():
            if self.polled[name] < len(service.events):
                await self._poll(name)
                return "new events"
        if calls != sum(s.calls for s in self.services.values()) or wal != len(self.database.wal):
            return "calls or writes"
        if parked := self.database.select("parked"):
            return f"parked: {parked}"
        for link in self.database.select("link").values():
            if link.attempt is not None:
                return f"an attempt is open: {link}"
        behind = self.log.behind("deliver")
        held = [list(process.deliver._dispatcher._queues) for process in self.processes]
        return f"{behind} messages are not committed, under way: {held}" if behind or self.hooks_open else None

    # ---------------------------------------------------------------------------------------------------- the oracle

    def check(self) -> str | None:
        """The invariants, on what is left."""
        letters = [note for note in self.database.notes if isinstance(note, DeadLetter)]
        if letters:
            return f"dead letter: {letters[0]}"
        for process in self.processes:
            if process.task.done():
                return f"delivery ended: {process.task.exception()!r}"
        rows = {RecordId(e, k): values for (e, k), values in self.database.select("row").items()}
        for name, service in self.services.items():
            wrong = self._check_pairs(name, service, rows)
            if wrong:
                return wrong
        for record, row in rows.items():
            for column in FIELDS:
                wrong = self.lineage.wrong(column, row[column], (DATABASE, *self.plan.remotes))
                if wrong:
                    return f"{record.key}.{column}: {wrong}"
        return None

    def _check_pairs(self, name: str, service: MemoryService, rows: dict[RecordId, dict[str, Value]]) -> str | None:
        live = {thing.id: thing for thing in service.things.values() if not thing.deleted}
        linked: dict[str, RecordId] = {}
        for record, row in rows.items():
            link = self.database.data.get(("link", name, record.entity, record.key))
            if link is None or link.remote_id is None:
                return f"row {record.key} never reached {name}"
            if link.remote_id not in live:
                return f"row {record.key} is alive, {link.remote_id} is deleted"
            if link.remote_id in linked:
                return f"two rows, one object: {record.key}, {linked[link.remote_id].key}, {link.remote_id}"
            linked[link.remote_id] = record
            differs = _differs(row, live[link.remote_id])
            if differs:
                return f"{record.key} and {link.remote_id} differ: {differs}"
        for remote_id in live:
            if remote_id not in linked:
                return f"{remote_id} has no row"
        return None

    def conflicts(self) -> list[Conflict]:
        """Those that were noted."""
        return [note for note in self.database.notes if isinstance(note, Conflict)]


def _record(key: int) -> RecordId:
    return RecordId(ENTITY, json.dumps({"id": key}, separators=(",", ":")))


def _differs(row: dict[str, Value], thing: Thing) -> str | None:
    for column in (*FIELDS, "e"):
        there = lookup(thing.document, PATHS[column])
        if norm(column, row[column]) != norm(column, there):
            return f"{column}: {row[column]!r} here, {there!r} there"
    return None


_SOURCE = {"schema": "public", "table": "customer"}


def _change(change: Committed, number: int) -> Change:
    return Change(
        entity=ENTITY,
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
    chance = random.Random(seed)
    loop = VirtualLoop(chance, start=1000.0)
    asyncio.set_event_loop(loop)
    try:
        plan = plan or Plan(remotes=("stripe", "salesforce") if seed % 4 == 3 else ("stripe",))

        async def run() -> str | None:
            return await World(seed, plan, loop, trace).run()

        return loop.run_until_complete(run())
    finally:
        loop.bury()
        asyncio.set_event_loop(None)
