"""A remote system in memory, like Stripe: whole-second times, snapshots, idempotency keys that are forgotten, no
conditional writes, values that are normalised; and its faults."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bothways.model.errors import CallRefused, FateUnknown, Forbidden, RateLimited, Unavailable
from bothways.model.link import Attempt, Call, Window
from bothways.model.record import Mark, RemoteObject
from bothways.model.remote import Answer, Happening, RemoteEvent
from bothways.model.values import Value, Values
from bothways.ports import RawEvent, RemotePage
from bothways.sync.mapping import lookup
from tests.simulation.loop import door

Document = dict[str, Any]
FORGOTTEN_AFTER_SECONDS = 40.0
"""The simulation's day: after it an idempotency key is forgotten."""


@dataclass(frozen=True, slots=True)
class RemoteFaults:
    """Probabilities per call."""

    before: float = 0.0
    """Fails before the effect, nothing kept."""
    lost: float = 0.0
    """The answer is lost after the effect."""
    stored: float = 0.0
    """A failure before the effect that the remote keeps under the key and repeats."""
    stored_after: float = 0.0
    """The same after the effect."""
    limited: float = 0.0
    latency_seconds: float = 0.3
    slow: float = 0.0
    """A call that takes 10 times as long."""


@dataclass
class Stored:
    """What is kept under an idempotency key."""

    answer: Document | None
    at: float
    body: str


@dataclass
class Thing:
    """One object."""

    id: str
    kind: str
    document: Document
    mark: Mark | None = None
    deleted: bool = False
    created: int = 0


@dataclass
class Happened:
    """One event of the remote, as it would send it."""

    id: str
    payload: bytes
    kind: str
    object_id: str
    created: int
    key: str | None = field(default=None)


class MemoryService:
    """The remote itself: survives every crash of ours, and goes on with a request whose caller is gone."""

    def __init__(self, name: str, chance: random.Random, normalise: Callable[[str, Value], Value]) -> None:
        self.name, self.chance, self.normalise = name, chance, normalise
        self.things: dict[str, Thing] = {}
        self.events: list[Happened] = []
        self.keys: dict[str, Stored] = {}
        self.calls = 0
        self.faults = RemoteFaults()
        self.on_event: Callable[[Happened], None] = lambda _event: None
        self.on_show: Callable[[Thing], None] = lambda _thing: None
        """Called when somebody is about to see the thing."""
        self.tell: Callable[..., None] = lambda *_words: None
        self.refuses: Callable[[str, Value], str | None] = lambda _path, _value: None
        """What is wrong with a value at a path, if anything."""
        self.names_field = True
        """Whether a refusal says which path it is about."""
        self.script: list[tuple[float, float, float]] = []
        """How long the next requests take: there, until the answer is written, back."""
        self.forbidden = False
        """The key is refused, whatever it is used for."""
        self.silent = False
        """Nothing is answered."""

    def second(self) -> int:
        """The remote's clock."""
        return math.floor(asyncio.get_running_loop().time())

    # ------------------------------------------------------------------------------------------------------ state

    def live(self, kind: str) -> list[Thing]:
        """The objects of a kind that are there."""
        return [thing for thing in self.things.values() if thing.kind == kind and not thing.deleted]

    def make(self, kind: str, patch: Values, mark: Mark | None, key: str | None) -> Thing:
        """Create an object."""
        thing = Thing(f"{self.name}_{len(self.things) + 1}", kind, {}, mark, created=self.second())
        for path, value in patch.items():
            self._put(thing.document, path, value)
        self.things[thing.id] = thing
        self._emit("created", thing, {}, key)
        return thing

    def change(self, thing: Thing, patch: Values, key: str | None) -> None:
        """Update an object; nothing happens where nothing differs."""
        previous: Document = {}
        for path, value in patch.items():
            old = lookup(thing.document, path)
            if self.normalise(path, value) != old:
                self._put(thing.document, path, value)
                _nest(previous, path, old)
        if previous:
            self._emit("updated", thing, previous, key)

    def remove(self, thing: Thing, key: str | None) -> None:
        """Delete an object for good."""
        if not thing.deleted:
            thing.deleted = True
            self._emit("deleted", thing, {}, key)

    def _put(self, document: Document, path: str, value: Value) -> None:
        _nest(document, path, self.normalise(path, value))

    def _emit(self, happening: str, thing: Thing, previous: Document, key: str | None) -> None:
        body: Document = {
            "id": f"evt_{self.name}_{len(self.events) + 1}",
            "happening": happening,
            "created": self.second(),
            "object": _copy(thing.document),
            "kind": thing.kind,
            "object_id": thing.id,
            "mark": [thing.mark.installation, thing.mark.token, thing.mark.key] if thing.mark else None,
            "previous": previous,
            "key": key,
        }
        event = Happened(body["id"], json.dumps(body).encode(), thing.kind, thing.id, body["created"], key)
        self.events.append(event)
        self.on_event(event)

    # ------------------------------------------------------------------------------------------------------- HTTP

    def serve(self, attempt: Attempt) -> tuple[Document, bool]:
        """One request: (answer, replayed). Raises what the client sees."""
        self.tell(self.name, "call", attempt.call.value, attempt.remote_id, dict(attempt.patch), attempt.key)
        self.arrives()
        draw = self.chance.random()
        faults = self.faults
        if draw < faults.before:
            raise Unavailable("no answer")
        draw -= faults.before
        if draw < faults.limited:
            raise RateLimited("too many", retry_after=0.1)
        draw -= faults.limited
        now = asyncio.get_running_loop().time()
        stored = self.keys.get(attempt.key)
        body = json.dumps([attempt.call, attempt.remote_id, dict(attempt.patch)])
        if stored is not None and now - stored.at < FORGOTTEN_AFTER_SECONDS:
            if stored.body != body:
                raise FateUnknown("the key was used with another body")
            if stored.answer is None:
                raise FateUnknown("a stored failure, repeated")
            return _copy(stored.answer), True
        if draw < faults.stored:
            self.keys[attempt.key] = Stored(None, now, body)
            raise Unavailable("500")
        draw -= faults.stored
        answer = self._effect(attempt)
        if draw < faults.stored_after:
            self.keys[attempt.key] = Stored(None, now, body)
            raise Unavailable("500")
        draw -= faults.stored_after
        self.keys[attempt.key] = Stored(_copy(answer), now, body)
        if draw < faults.lost:
            raise Unavailable("the answer was lost")
        return answer, False

    def _effect(self, attempt: Attempt) -> Document:
        for path, value in attempt.patch.items():
            wrong = self.refuses(path, value)
            if wrong:
                raise CallRefused(wrong, field=path if self.names_field else None)
        if attempt.call is Call.CREATE:
            return self.show(self.make(attempt.object, attempt.patch, attempt.mark, attempt.key))
        thing = self.things[attempt.remote_id or ""]
        if attempt.call is Call.DELETE:
            self.remove(thing, attempt.key)
        elif not thing.deleted:
            self.change(thing, attempt.patch, attempt.key)
        return self.show(thing)

    def arrives(self) -> None:
        """A request is here, whatever becomes of it."""
        self.calls += 1
        if self.forbidden:
            raise Forbidden("the key is refused")
        if self.silent:
            raise Unavailable("no answer")

    def show(self, thing: Thing) -> Document:
        """The object as it stands now."""
        self.on_show(thing)
        return {"id": thing.id, "gone": thing.deleted, "document": _copy(thing.document), "mark": thing.mark}


def _copy(document: Document) -> Document:
    return {name: _copy(value) if isinstance(value, dict) else value for name, value in document.items()}


def _nest(document: Document, path: str, value: Value) -> None:
    *parents, last = path.split(".")
    for name in parents:
        document = document.setdefault(name, {})
    document[last] = value


def _object(shown: Document) -> RemoteObject:
    return RemoteObject(shown["id"], shown["gone"], {} if shown["gone"] else shown["document"], shown["mark"])


class MemoryRemote:
    """One process's client of the service: ``Remote``, ``RemoteSearch`` and ``EventFeed``."""

    def __init__(self, service: MemoryService, alive: Callable[[], bool] = lambda: True) -> None:
        self.service, self.alive = service, alive
        self.key_memory_seconds = FORGOTTEN_AFTER_SECONDS

    async def _exchange(self, work: Callable[[], tuple[Document, bool]]) -> tuple[Document, bool, Window]:
        """A request that goes on at the remote whatever becomes of its caller.

        It is on its way, then the work is done, then the answer is written (its ``Date``), then it is on its way back.
        """
        chance, faults = self.service.chance, self.service.faults
        loop = asyncio.get_running_loop()
        takes = chance.random() * faults.latency_seconds * (10 if chance.random() < faults.slow else 1)
        sent, there, writing = loop.time(), takes * chance.random(), 0.0
        if chance.random() < 0.5:
            writing = (takes - there) * chance.random()
        back = takes - there - writing
        if self.service.script:
            there, writing, back = self.service.script.pop(0)
        answer: asyncio.Future[tuple[Document, bool]] = loop.create_future()

        def arrive() -> None:
            try:
                answer.set_result(work())
            except Exception as error:  # noqa: BLE001 - the error is the answer
                answer.set_exception(error)
                answer.exception()

        loop.call_later(there, arrive)
        try:
            shown, replayed = await asyncio.shield(answer)
            await asyncio.sleep(writing)
            date = self.service.second()
        finally:
            await asyncio.sleep(back)
            await door(self.alive())
        return shown, replayed, Window(date - math.ceil(loop.time() - sent) - 1, date)

    async def call(self, attempt: Attempt) -> Answer:
        """See ``ports.Remote``."""
        shown, replayed, window = await self._exchange(lambda: self.service.serve(attempt))
        return Answer(_object(shown), window, replayed)

    async def fetch(self, object: str, remote_id: str) -> Answer:
        """See ``ports.Remote``."""

        def read() -> tuple[Document, bool]:
            self.service.tell(self.service.name, "fetch", remote_id)
            self.service.arrives()
            if self.service.chance.random() < self.service.faults.before:
                raise Unavailable("no answer")
            thing = self.service.things.get(remote_id)
            if thing is None:
                return {"id": remote_id, "gone": True, "document": {}, "mark": None}, False
            return self.service.show(thing), False

        shown, _, window = await self._exchange(read)
        return Answer(_object(shown), window)

    async def fate(self, attempt: Attempt) -> RemoteObject | None:
        """See ``ports.Remote``."""

        def read() -> tuple[Document, bool]:
            self.service.arrives()
            for event in self.service.events:
                if event.key == attempt.key:
                    decoded = self.decode(event.payload)
                    return {"found": decoded.snapshot}, False
            return {"found": None}, False

        shown, _, _ = await self._exchange(read)
        found: RemoteObject | None = shown["found"]
        return found

    async def match(self, object: str, equal: Values, *, limit: int = 2) -> Sequence[RemoteObject]:
        """See ``ports.RemoteSearch``."""

        def read() -> tuple[Document, bool]:
            self.service.arrives()
            found = [
                t
                for t in self.service.live(object)
                if all(lookup(t.document, path) == value for path, value in equal.items())
            ]
            return {"found": [_object(self.service.show(thing)) for thing in found[:limit]]}, False

        shown, _, _ = await self._exchange(read)
        found: Sequence[RemoteObject] = shown["found"]
        return found

    async def page(self, object: str, cursor: str | None, limit: int) -> RemotePage:
        """See ``ports.RemoteSearch``."""
        ids = [thing.id for thing in self.service.live(object)]
        start = ids.index(cursor) + 1 if cursor in ids else 0
        page = ids[start : start + limit]
        answers = [await self.fetch(object, each) for each in page]
        return RemotePage([a for a in answers if not a.object.gone], page[-1] if start + limit < len(ids) else None)

    def decode(self, payload: bytes) -> RemoteEvent:
        """See ``ports.EventFeed``."""
        body: Mapping[str, Any] = json.loads(payload)
        mark = Mark(*body["mark"]) if body["mark"] else None
        gone = body["happening"] == "deleted"
        return RemoteEvent(
            id=body["id"],
            system=self.service.name,
            object=body["kind"],
            happening=Happening(body["happening"]),
            created=body["created"],
            snapshot=RemoteObject(body["object_id"], gone, {} if gone else body["object"], mark),
            previous=body["previous"],
            key=body["key"],
        )

    async def since(self, created: int, seen: Callable[[str], bool]) -> Sequence[RawEvent]:
        """See ``ports.EventFeed``."""
        await asyncio.sleep(self.service.chance.random() * self.service.faults.latency_seconds)
        await door(self.alive())
        if self.service.forbidden:
            raise Forbidden("the key is refused")
        return [
            RawEvent(event.id, event.kind, event.object_id, event.created, event.payload)
            for event in self.service.events
            if event.created >= created and not seen(event.id)
        ]
