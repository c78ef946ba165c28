"""The backfill of one entity at one system: its phases, page by page, each page kept when it is done."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from bothways.flow.brake import HeldBack
from bothways.flow.context import Context, Patience
from bothways.flow.course import Course, Phase, load_course, lost_since, next_phase, store_course
from bothways.flow.crew import Crew, Stopped
from bothways.flow.meeting import Meeting
from bothways.flow.outward import Outward
from bothways.flow.retry import Backoff
from bothways.flow.scanning import Scan, read_page
from bothways.flow.steady import Steady
from bothways.flow.supervise import FOR_GOOD, describe
from bothways.flow.tally import CountingCatalogue, CountingRemote, Tally
from bothways.model.errors import Busy
from bothways.model.outcome import DeadLetter, Direction
from bothways.model.record import RecordId
from bothways.model.remote import Answer
from bothways.sync.held import Trigger
from bothways.sync.linking import match_of_object
from bothways.sync.mapping import EntityMapping

CAUSE = "backfill"
_PAGE_TRIES = 6
_REST_WAITS = (0.5, 1.0, 2.0, 4.0)
OTHER_WORKER_SECONDS = 3.0
"""So young an attempt of another worker is left to it; a call that is repeated too early is only refused for now."""
_NOT_THE_RECORD = (*FOR_GOOD, Busy)
"""Errors that are no single record's."""

_log = structlog.get_logger(__name__)


def patience(usual: Patience) -> Patience:
    """Nothing is given up, since nobody else might take it up; and what a killed run left is taken up soon."""
    other_worker = min(usual.other_worker, OTHER_WORKER_SECONDS)
    return replace(usual, retries=math.inf, other_worker=other_worker, waits_for_key=True)


class PairBackfill:
    """One entity at one system."""

    def __init__(self, context: Context, mapping: EntityMapping, crew: Crew, rows: int | None) -> None:
        self.mapping, self.crew, self.rows, self.system = mapping, crew, rows, mapping.system
        self.tally = Tally()
        self.remote = CountingRemote(context.remotes[self.system], self.tally, fresh=crew.pacing.fresh)
        self.context = replace(
            context,
            catalogue=CountingCatalogue(context.catalogue, self.tally),
            remotes={**context.remotes, self.system: self.remote},
            patience=patience(context.patience),
        )
        self.steady = Steady(self.context, self.system)
        self.meeting = Meeting(self.context, self.system, CAUSE)
        self.outward = Outward(self.context, self.system)
        self.scan = Scan(mapping.by_column[column].path for column in mapping.match_on)
        self.scanned = False
        self.counted_with = 0
        """Rows that earlier runs made, and that ``rows`` counts."""
        self.course = Course(began=0.0)

    async def run(self, *, again: bool) -> Course:
        """From where it stands to its end."""
        self.course = await self.steady.retried(self._begin, again)
        self.tally.add(self.course.tally)
        self.counted_with = self.tally.rows_created
        phases = {Phase.OBJECTS: self._objects, Phase.ROWS: self._rows, Phase.REST: self._rest}
        try:
            while self.course.phase is not Phase.DONE:
                self._show()
                await phases[self.course.phase]()
                await self._move(next_phase(self.course, self.context.clock.now()))
        except Stopped:
            await self._move(self.course)  # the numbers of what was done since the last page
            raise
        return self.course

    async def _begin(self, again: bool) -> Course:
        async with self.context.catalogue.transaction() as tx:
            course = await load_course(tx.checkpoints, self.system, self.mapping.entity)
            anew = again or (course is not None and await lost_since(tx.checkpoints, self.system, course.began))
            if course is None or (anew and course.phase is Phase.DONE):
                course = Course(began=self.context.clock.now())
                await store_course(tx.checkpoints, self.system, self.mapping.entity, course)
            return course

    async def _move(self, course: Course) -> None:
        """Keep where it stands now."""
        self.course = replace(course, tally=replace(self.tally))
        await self.steady.retried(self._store)

    async def _store(self) -> None:
        async with self.context.catalogue.transaction() as tx:
            await store_course(tx.checkpoints, self.system, self.mapping.entity, self.course)

    def _show(self) -> None:
        progress, course = self.crew.progress, self.course
        progress.entity, progress.system, progress.phase = self.mapping.entity, self.system, course.phase
        seen = {Phase.OBJECTS: course.objects, Phase.ROWS: course.rows}.get(course.phase, 0)
        rows = self.rows + self.tally.rows_created - self.counted_with if self.rows is not None else None
        totals = {Phase.ROWS: rows, Phase.REST: len(course.rest)}
        progress.seen = progress.seen_before = seen
        progress.total, progress.tally = totals.get(course.phase), self.tally
        progress.started = asyncio.get_running_loop().time()

    # --------------------------------------------------------------------------------------------------------- objects

    async def _objects(self) -> None:
        from_start, cursor = self.course.cursor is None, self.course.cursor
        while True:
            self.crew.check_stop()
            page = await read_page(self.remote, self.mapping.object, cursor, self._waits())
            for answer in page.answers:
                self.scan.add(answer.object)
            rest: list[str] = []

            async def meet(answer: Answer, rest: list[str] = rest) -> None:
                async def work() -> None:
                    if not await self.meeting.meet(self.mapping, answer):
                        rest.append(answer.object.id)

                await self._guarded(Direction.IN, answer.object.id, work)

            await self.crew.each(self._groups(page.answers), self.crew.pacing.objects, meet)
            course = replace(self.course, cursor=page.cursor, objects=self.course.objects + len(page.answers))
            cursor = page.cursor
            if cursor is None:
                self.course = replace(course, rest=(*course.rest, *rest))
                self.scanned = from_start
                return
            await self._move(replace(course, rest=(*course.rest, *rest)))

    def _groups(self, answers: Sequence[Answer]) -> Sequence[Sequence[Answer]]:
        """Objects that match the same rows are dealt with one after another: the first may make the row."""
        groups: dict[str, list[Answer]] = {}
        for answer in answers:
            equal = match_of_object(self.mapping, answer.object.document)
            key = json.dumps(equal, sort_keys=True) if equal else answer.object.id
            groups.setdefault(key, []).append(answer)
        return list(groups.values())

    def _waits(self) -> Sequence[float]:
        patience = self.context.patience
        backoff = Backoff(patience.first, patience.most, self.context.random)
        return [next(backoff) for _ in range(_PAGE_TRIES)]

    # ------------------------------------------------------------------------------------------------------------ rows

    async def _rows(self) -> None:
        if not self.scanned:
            await self._scan_again()
        self.remote.use(self.mapping.object, self.scan)
        limit = self.crew.pacing.rows_per_page
        while True:
            self.crew.check_stop()
            linked, last = await self.steady.retried(self._row_page, limit)
            missing = {key: remote_id for key, remote_id in linked.items() if remote_id not in self.scan.ids}
            gone = [key for key, remote_id in missing.items() if remote_id and await self._is_gone(remote_id)]
            await self.crew.each([[key] for key in linked if key not in gone], self.crew.pacing.rows, self._deliver)
            rows, lost = self.course.rows + len(linked), self.course.missing + len(gone)
            if last is None:
                self.course = replace(self.course, rows=rows, missing=lost)
                return
            await self._move(replace(self.course, cursor=last, rows=rows, missing=lost))

    async def _scan_again(self) -> None:
        """The list as a whole, once more: what an earlier run has read of it is not kept."""
        cursor: str | None = None
        while True:
            self.crew.check_stop()
            page = await read_page(self.remote, self.mapping.object, cursor, self._waits())
            for answer in page.answers:
                self.scan.add(answer.object)
            cursor = page.cursor
            if cursor is None:
                return

    async def _row_page(self, limit: int) -> tuple[Mapping[str, str | None], str | None]:
        """Keys of rows that take part, with the remote ids that they are linked to, and where the next page begins."""
        async with self.context.catalogue.transaction() as tx:
            rows = await tx.search.page(self.mapping.entity, self.course.cursor, limit)
            linked = {
                row.key: await tx.references.remote_id(RecordId(self.mapping.entity, row.key), self.system)
                for row in rows
                if row.takes_part
            }
        return linked, rows[-1].key if len(rows) == limit else None

    async def _is_gone(self, remote_id: str) -> bool:
        return (await self.steady.called(self.remote.fetch, self.mapping.object, remote_id)).object.gone

    async def _deliver(self, key: str) -> None:
        async def work() -> None:
            try:
                settled = await self.outward.deliver(RecordId(self.mapping.entity, key), Trigger())
            except HeldBack:  # its object is gone, and the row's deletion waits: delivery takes it up from the link
                settled = False
            if not settled:
                self.tally.waiting += 1

        await self._guarded(Direction.OUT, key, work)

    # ------------------------------------------------------------------------------------------------------------ rest

    async def _rest(self) -> None:
        """What waited for a call under way; it may have to wait some seconds more."""
        for wait in (0.0, *_REST_WAITS):
            if not self.course.rest:
                return
            await asyncio.sleep(wait)
            waiting = [each for each in self.course.rest if not await self._met_again(each)]
            self.course = replace(self.course, rest=tuple(waiting))
        hint = "while a call under way does not end they wait; start it again"
        _log.warning("backfill.unsettled", entity=self.mapping.entity, system=self.system, hint=hint)
        await self._move(self.course)
        raise Busy(f"{len(self.course.rest)} objects could not be settled yet", hint=hint)

    async def _met_again(self, remote_id: str) -> bool:
        self.crew.check_stop()
        return await self.meeting.meet_again(self.mapping, remote_id)

    # ---------------------------------------------------------------------------------------------------------- faults

    async def _guarded(self, direction: Direction, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """One record's work; a fault with one becomes a dead letter and does not stop the others."""
        try:
            await work()
        except _NOT_THE_RECORD:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours with one record must not stop the others
            _log.exception("backfill.fault", entity=self.mapping.entity, system=self.system, key=key)
            letter = DeadLetter(
                direction, self.system, self.mapping.entity, key, None, describe(error), "see the log", "{}", CAUSE
            )
            await self.steady.retried(self._note, letter)

    async def _note(self, letter: DeadLetter) -> None:
        async with self.context.catalogue.transaction() as tx:
            await tx.journal.note(letter)
