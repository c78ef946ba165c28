"""Asks a remote system, again and again, for what its webhooks missed."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import structlog

from bothways.flow.receive import Appends, event_messages
from bothways.flow.retry import Backoff
from bothways.model.errors import Forbidden, Transient
from bothways.model.values import Value
from bothways.ports import Catalogue, Checkpoints, Clock, EventFeed, RawEvent

OVERLAP_SECONDS = 600
"""What is read again each time: events may become visible after younger ones."""

MEMORY_SECONDS = 30 * 24 * 3600.0
"""How long the remote keeps events."""

_APPENDED_AT_ONCE = 500

_log = structlog.get_logger(__name__)


def checkpoint(system: str) -> str:
    """The checkpoint that holds how far a system's events were read: ``{"created": …, "polled": …}``.

    ``created``: the time of the newest event that is on the log, by the remote's clock. It begins at our time, which
    may be ahead of the remote's by the overlap, and moves with events only. ``polled``: when it was last looked at, by
    our clock.
    """
    return f"poll:{system}"


def gap_flag(system: str) -> str:
    """The checkpoint that says that events are lost: ``{"from": …, "found": …}``; cleared by who has compared all."""
    return f"gap:{system}"


async def begin(checkpoints: Checkpoints, system: str, now: float) -> None:
    """Let the poller begin at ``now``: part of the setup, so that no event falls between it and the first poll."""
    if await checkpoints.load(checkpoint(system)) is None:
        await checkpoints.store(checkpoint(system), {"created": int(now), "polled": now})


class Recent:
    """Ids of events that this process has put on the log lately, whoever did; the oldest are forgotten.

    An id that was forgotten costs a second copy on the log, which delivery drops.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._created: OrderedDict[str, int] = OrderedDict()

    def add(self, event: RawEvent) -> None:
        """Call this once the log has it, not before."""
        self._created[event.id] = event.created
        self._created.move_to_end(event.id)
        if len(self._created) > self._limit:
            self._created.popitem(last=False)

    def created(self, event_id: str) -> int | None:
        """When the event was made, if it is known."""
        return self._created.get(event_id)


class Poller:
    """A role: every ``interval`` seconds, what is new in the feed goes on the log, and only then the cursor moves.

    A key that is refused pauses it: it says so in ``ready()`` and tries again every ``pause`` seconds. Where it was
    away for longer than the remote keeps events, a flag says that both sides have to be compared, and it goes on with
    what is still there.
    """

    def __init__(
        self,
        feed: EventFeed,
        catalogue: Catalogue,
        log: Appends,
        clock: Clock,
        *,
        system: str,
        topics: Mapping[str, Sequence[str]],
        interval: float,
        recent: Recent | None = None,
        seen: Callable[[str], bool] | None = None,
        memory: float = MEMORY_SECONDS,
        pause: float = 60.0,
        chance: random.Random | None = None,
    ) -> None:
        """``topics``: kind of object → topics of its entities. ``seen``: further ids that need not go on the log."""
        self._feed = feed
        self._catalogue = catalogue
        self._log = log
        self._clock = clock
        self._system = system
        self._topics = topics
        self._interval = interval
        self._recent = recent or Recent()
        self._also_seen = seen
        self._memory = memory
        self._pause = pause
        self._backoff = Backoff(min(1.0, interval), max(60.0, interval), chance or random.Random())
        self._trouble: str | None = "has not asked yet"
        self._has_asked = False
        self._log_with = _log.bind(system=system)

    @property
    def name(self) -> str:
        return f"poll {self._system}"

    def ready(self) -> str | None:
        return self._trouble

    async def run(self) -> NoReturn:
        while True:
            wait = await self._try_once()
            await asyncio.sleep(wait)

    async def poll(self) -> int:
        """Ask once; how many events are news, of those that went on the log: after a start some are read again.

        Raises what the feed, the log and the catalogue raise.
        """
        async with self._catalogue.transaction() as transaction:
            await begin(transaction.checkpoints, self._system, self._clock.now())
            state = await transaction.checkpoints.load(checkpoint(self._system))
        created, polled = _read(state)
        asked_at = self._clock.now()
        events, newest = await self._new_events(created)
        known = await self._dealt_with(events)
        await self._append(events)
        async with self._catalogue.transaction() as transaction:
            if asked_at - polled > self._memory - OVERLAP_SECONDS:
                await self._report_gap(transaction.checkpoints, created, asked_at)
            moved: Value = {"created": max(created, newest), "polled": asked_at}
            await transaction.checkpoints.store(checkpoint(self._system), moved)
        return len(events) - known

    async def _dealt_with(self, events: Sequence[RawEvent]) -> int:
        """How many were seen before this process began; from then on it remembers itself what it has read."""
        if self._has_asked:
            return 0
        async with self._catalogue.transaction() as transaction:
            seen = [await transaction.journal.was_seen(self._system, event.id) for event in events]
        self._has_asked = True
        return sum(seen)

    async def _try_once(self) -> float:
        """Seconds until the next time."""
        try:
            count = await self.poll()
        except Forbidden as error:
            self._trouble = f"paused: {error}"
            self._log_with.error("poll.paused", error=str(error), retry_seconds=self._pause)
            return self._pause
        except Transient as error:
            wait = self._backoff.after(error)
            self._trouble = f"asks again in {wait:.1f} s: {error}"
            self._log_with.warning("poll.failed", error=str(error), retry_seconds=round(wait, 3))
            return wait
        self._trouble = None
        self._backoff.reset()
        if count:
            self._log_with.info("poll.found", events=count)
        return self._interval

    async def _new_events(self, created: int) -> tuple[Sequence[RawEvent], int]:
        """What is not on the log yet, and the time of the newest event, whether new or not."""
        newest = created

        def known(event_id: str) -> bool:
            nonlocal newest
            made = self._recent.created(event_id)
            if made is not None:
                newest = max(newest, made)
                return True
            return self._also_seen is not None and self._also_seen(event_id)

        events = await self._feed.since(created - OVERLAP_SECONDS, known)
        return events, max([newest, *(event.created for event in events)])

    async def _append(self, events: Sequence[RawEvent]) -> None:
        for first in range(0, len(events), _APPENDED_AT_ONCE):
            part = events[first : first + _APPENDED_AT_ONCE]
            messages = [message for event in part for message in event_messages(event, self._topics)]
            if messages:
                await self._log.append(messages)
            for event in part:
                self._recent.add(event)

    async def _report_gap(self, checkpoints: Checkpoints, created: int, now: float) -> None:
        if await checkpoints.load(gap_flag(self._system)) is None:
            await checkpoints.store(gap_flag(self._system), {"from": created, "found": now})
        self._log_with.warning(
            "poll.gap",
            since=created,
            reason="the remote no longer keeps the events since then: both sides have to be compared as a whole",
        )


def _read(state: Value) -> tuple[int, float]:
    """Raises ``ValueError`` for a checkpoint that was written by something else."""
    if isinstance(state, Mapping):
        created, polled = state.get("created"), state.get("polled")
        if isinstance(created, int) and isinstance(polled, int | float):
            return created, float(polled)
    raise ValueError(f"not a poller's checkpoint: {state!r}")
