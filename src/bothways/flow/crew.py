"""Several records at a time, seen from outside, and ended in order when somebody asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bothways.flow.course import Phase
from bothways.flow.scanning import FRESH_SECONDS
from bothways.flow.tally import Tally

T = TypeVar("T")


class Stopped(Exception):
    """Somebody asked for an end; it goes on where it was when it is started again."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """How much is under way at a time."""

    objects: int = 8
    rows: int = 32
    rows_per_page: int = 500
    fresh: float = FRESH_SECONDS


@dataclass(slots=True)
class Progress:
    """What can be seen from outside while it works."""

    entity: str = ""
    system: str = ""
    phase: Phase = Phase.OBJECTS
    seen: int = 0
    """Of this phase, in earlier runs too."""
    seen_before: int = 0
    """Of those, in earlier runs."""
    total: int | None = None
    """As far as it is known."""
    started: float = 0.0
    """The loop's time at which this run began the phase."""
    tally: Tally | None = None

    def rate(self, now: float) -> float:
        """Records a second."""
        return (self.seen - self.seen_before) / max(now - self.started, 0.001)

    def remaining_seconds(self, now: float) -> float | None:
        """An estimate; None where it cannot be told."""
        rate = self.rate(now)
        return max(0, self.total - self.seen) / rate if self.total is not None and rate > 0 else None


class Crew:
    """The workers of one run."""

    def __init__(self, pacing: Pacing) -> None:
        self.pacing = pacing
        self.progress = Progress()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stop.set()

    async def each(self, groups: Sequence[Sequence[T]], workers: int, work: Callable[[T], Awaitable[None]]) -> None:
        """Several groups at a time, each in its order. Raises ``Stopped`` where not all were done."""
        waiting = iter(groups)

        async def worker() -> None:
            for group in waiting:
                for item in group:
                    if self._stop.is_set():
                        return
                    await work(item)
                    self.progress.seen += 1

        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(workers, len(groups))):
                    tasks.create_task(worker())
        except ExceptionGroup as several:
            raise several.exceptions[0] from several
        self.check_stop()

    def check_stop(self) -> None:
        """Raises ``Stopped`` where somebody asked for it."""
        if self._stop.is_set():
            raise Stopped
