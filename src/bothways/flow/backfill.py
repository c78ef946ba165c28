"""Existing records of both sides, matched, linked and merged: by the same steps as every change afterwards.

First the remote's objects page by page, then the rows. Whatever is changed meanwhile goes through the same locks,
windows and attempts, so the newer state wins, and a record that was dealt with by an event asks for nothing here.
Nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from bothways.flow.backfill_pair import PairBackfill
from bothways.flow.context import Context
from bothways.flow.course import Course, clear_gap
from bothways.flow.crew import Crew, Pacing, Progress
from bothways.flow.steady import Steady
from bothways.sync.mapping import EntityMapping

_log = structlog.get_logger(__name__)


class Backfill:
    """Brings both sides of some entities together, one (entity, system) after another."""

    def __init__(
        self,
        context: Context,
        pairs: Sequence[tuple[str, str]],
        *,
        rows: Mapping[str, int] | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        """``pairs``: (entity, system), what is pointed to first. ``rows``: entity → about how many there are."""
        self.context, self.pairs, self.rows = context, pairs, rows or {}
        self.crew = Crew(pacing or Pacing())

    @property
    def progress(self) -> Progress:
        """What it is doing now."""
        return self.crew.progress

    def stop(self) -> None:
        """Begin nothing more; ``run`` raises ``Stopped`` when what is under way is done."""
        self.crew.stop()

    async def run(self, *, again: bool = False) -> Mapping[tuple[str, str], Course]:
        """Work to the end; returns where each stands. What was done before is done anew only ``again``.

        Raises ``Stopped``, ``Forbidden``, ``Transient`` where the remote does not answer for long, and what says that
        the settings no longer fit. It can be started again after any of them, and after a crash.
        """
        ended: dict[tuple[str, str], Course] = {}
        for entity, system in self.pairs:
            mapping = self.context.mappings[entity, system]
            one = PairBackfill(self.context, mapping, self.crew, self.rows.get(entity))
            ended[entity, system] = await one.run(again=again)
        for system in dict.fromkeys(system for _, system in self.pairs):
            await Steady(self.context, system).retried(self._clear_gap, system)
        return ended

    async def _clear_gap(self, system: str) -> None:
        entities = [entity for entity, known in self.context.mappings if known == system]
        async with self.context.catalogue.transaction() as tx:
            if await clear_gap(tx.checkpoints, system, entities):
                _log.warning("backfill.gap_remains", system=system, hint="bothways backfill --again")


def in_order(mappings: Mapping[tuple[str, str], EntityMapping]) -> Sequence[tuple[str, str]]:
    """(entity, system) so that what is pointed to comes before what points to it, as far as that is possible."""
    ordered: dict[tuple[str, str], None] = {}
    under_way: set[tuple[str, str]] = set()

    def place(pair: tuple[str, str]) -> None:
        if pair in ordered or pair in under_way or pair not in mappings:
            return
        under_way.add(pair)
        for each in mappings[pair].fields:
            if each.ref is not None:
                place((each.ref, pair[1]))
        ordered[pair] = None

    for pair in mappings:
        place(pair)
    return list(ordered)
