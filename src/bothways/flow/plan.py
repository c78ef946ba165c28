"""What a backfill would do: both sides are read to their end, decided on as the backfill decides, and nothing written.

Kept in memory are ids and the values to match by. What either side changes while it is read may be seen before or after
the change, and what their own rules refuse beyond the known limits cannot be foreseen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bothways.flow.context import RemoteSystem
from bothways.flow.planned import KnownLinks, Limits, PairPlan, count
from bothways.flow.planning import Foreseen
from bothways.flow.references import UNLINKED
from bothways.flow.retry import Backoff
from bothways.flow.scanning import Scan, read_page
from bothways.model.link import Link
from bothways.model.record import RecordId, RemoteObject, Row
from bothways.model.remote import Answer
from bothways.model.values import Value, Values
from bothways.ports import Catalogue
from bothways.sync.held import Trigger
from bothways.sync.linking import (
    MOST_CANDIDATES,
    Adopt,
    AdoptObject,
    Candidate,
    Counterpart,
    Impossible,
    LeftOut,
    New,
    RowChoice,
    Rule,
    Standing,
    Waits,
    choose_object,
    choose_row,
    match_of_object,
    match_of_row,
    names,
    standing,
)
from bothways.sync.mapping import EntityMapping
from bothways.sync.outward import Find, begin_again, decide

ROWS_PER_PAGE = 500
PAGE_TRIES = 5
TOKEN = "planned"  # noqa: S105 - the random id of a link that is never made
"""Stands where a new link's random id would stand."""

UNDER_WAY = "a call is under way"
LEFT_BY_WHERE = "`where` leaves the row out"
MISSING = "the linked object is not there any more"


@dataclass(slots=True)
class Pairs:
    """Which row has which object, or will have, of one entity at one system."""

    of_key: dict[str, str] = field(default_factory=dict)
    of_object: dict[str, str] = field(default_factory=dict)

    def join(self, key: str, remote_id: str) -> None:
        """They are one record."""
        self.of_key[key], self.of_object[remote_id] = remote_id, key


class PairPlanner:
    """Plans one entity at one system. Plan what it points to first, and give that plan's ``pairs``."""

    def __init__(
        self,
        mapping: EntityMapping,
        catalogue: Catalogue,
        remote: RemoteSystem,
        links: KnownLinks,
        limits: Limits,
        *,
        installation: str,
        others: Mapping[str, Pairs],
        backoff: Backoff,
    ) -> None:
        self.mapping, self.catalogue, self.remote, self.links = mapping, catalogue, remote, links
        self.installation, self.others, self.backoff = installation, others, backoff
        self.plan = PairPlan(mapping.entity, mapping.system)
        self.foreseen = Foreseen(mapping, self.plan, limits)
        self.pairs = Pairs()
        self._scan = Scan(mapping.by_column[column].path for column in mapping.match_on)
        self._new_rows: dict[str, str] = {}
        """Values to match by of rows that will be made → the object that each is made of."""

    async def run(self) -> PairPlan:
        """Read both sides, and say what would be done."""
        await self._read_objects()
        await self._read_rows()
        plan = self.plan
        plan.calls += plan.objects_created.count + plan.objects_updated.count
        return plan

    # --------------------------------------------------------------------------------------------------------- objects

    async def _read_objects(self) -> None:
        cursor: str | None = None
        while True:
            self.backoff.reset()
            waits = [next(self.backoff) for _ in range(PAGE_TRIES)]
            page = await read_page(self.remote, self.mapping.object, cursor, waits)
            self.plan.calls += 1
            for answer in page.answers:
                self.plan.objects += 1
                self._scan.add(answer.object)
                await self._object(answer)
            cursor = page.cursor
            if cursor is None:
                return

    async def _object(self, answer: Answer) -> None:
        shown, system, entity = answer.object, self.mapping.system, self.mapping.entity
        link = await self.links.of_object(system, entity, shown.id)
        marked = await self._marked(shown)
        if link is not None:
            await self._linked(link, answer)
        elif marked is not None and marked.attempt is not None:
            self.pairs.of_object[shown.id] = marked.record.key
            count(self.plan.left_out, UNDER_WAY, shown.id)
        elif marked is not None and marked.remote_id is not None:
            self.pairs.of_object[shown.id] = marked.record.key
            self._for_people("made for a record that has another object", shown.id)
        elif await self.links.is_retired(system, entity, shown.id):
            count(self.plan.left_out, "deleted before", shown.id)
        else:
            await self._unlinked(answer, await self._choose(shown, marked))

    async def _linked(self, link: Link, answer: Answer) -> None:
        if link.deleted:
            return
        self.plan.linked_already += 1
        self.pairs.join(link.record.key, answer.object.id)
        if link.attempt is not None:
            count(self.plan.left_out, UNDER_WAY, str(link.record))
            return
        async with self.catalogue.transaction() as tx:
            row = await tx.rows.read(link.record)
        if row is not None:
            self.foreseen.merge(link, self._row_in(row), row, answer, found_in="event")

    async def _unlinked(self, answer: Answer, choice: RowChoice) -> None:
        shown = answer.object
        match choice:
            case Adopt():
                await self._adopt(choice.row, answer, choice.rule)
            case New():
                if choice.ambiguous:
                    count(self.plan.notes, "several rows match the object, so it becomes a new one", shown.id)
                if self.foreseen.insert(shown):
                    self.pairs.join(f"new:{shown.id}", shown.id)
                    self._new_rows.setdefault(_text(match_of_object(self.mapping, shown.document)), shown.id)
            case LeftOut():
                count(self.plan.left_out, "the object's row is left out by `where`", shown.id)
            case Waits():
                count(self.plan.left_out, UNDER_WAY, shown.id)
            case Impossible():
                self._for_people("the object's row has another object, or several rows name it", choice.reason)

    async def _adopt(self, row: Row, answer: Answer, rule: Rule) -> None:
        record, remote_id = RecordId(self.mapping.entity, row.key), answer.object.id
        link = await self.links.of_record(record, self.mapping.system)
        if link is None or link.deleted:
            link = Link(record, self.mapping.system, TOKEN)
        self.pairs.join(row.key, remote_id)
        count(self.plan.links, rule.value, f"{record} is {remote_id}")
        adopted = replace(link, remote_id=remote_id)
        self.foreseen.merge(adopted, self._row_in(row), row, answer, found_in="linking")

    async def _choose(self, shown: RemoteObject, marked: Link | None) -> RowChoice:
        """As ``BringIn`` does."""
        mapping = self.mapping
        equal = match_of_object(mapping, shown.document)
        named: Values = {mapping.id_column: shown.id} if mapping.id_column else {}
        async with self.catalogue.transaction() as tx:
            rows = {
                rule: await tx.search.find(mapping.entity, values, limit=MOST_CANDIDATES) if values else ()
                for rule, values in ((Rule.ID_COLUMN, named), (Rule.MATCH, equal))
            }
            row = await tx.rows.read(marked.record) if marked is not None else None
        choice = choose_row(mapping, Rule.ID_COLUMN, await self._candidates(rows[Rule.ID_COLUMN]), shown.id)
        if choice is None and row is not None:
            choice = choose_row(mapping, Rule.MARK, await self._candidates([row]), shown.id)
        if choice is None:
            found = await self._candidates(rows[Rule.MATCH])
            made = self._new_rows.get(_text(equal)) if equal else None
            if made is not None and len(found) < MOST_CANDIDATES:
                found.append(Candidate(Row(f"of {made}", {}), Standing.TAKEN, made))
            choice = choose_row(mapping, Rule.MATCH, found, shown.id)
        return choice or New()

    async def _candidates(self, rows: Sequence[Row]) -> list[Candidate]:
        found: list[Candidate] = []
        for row in rows:
            owned = self.pairs.of_key.get(row.key)
            if owned is not None or not row.takes_part:
                found.append(Candidate(row, Standing.TAKEN, owned))
                continue
            link = await self.links.of_record(RecordId(self.mapping.entity, row.key), self.mapping.system)
            found.append(Candidate(row, standing(link), link.remote_id if link else None))
        return found

    async def _marked(self, shown: RemoteObject) -> Link | None:
        if shown.mark is None or shown.mark.installation != self.installation:
            return None
        return await self.links.of_token(self.mapping.system, shown.mark.token)

    # ------------------------------------------------------------------------------------------------------------ rows

    async def _read_rows(self) -> None:
        after: str | None = None
        while True:
            async with self.catalogue.transaction() as tx:
                rows = await tx.search.page(self.mapping.entity, after, ROWS_PER_PAGE)
            for row in rows:
                self.plan.rows += 1
                await self._row(row)
            if len(rows) < ROWS_PER_PAGE:
                return
            after = rows[-1].key

    async def _row(self, row: Row) -> None:
        record = RecordId(self.mapping.entity, row.key)
        if not row.takes_part:
            count(self.plan.left_out, LEFT_BY_WHERE, str(record))
            return
        if row.key in self.pairs.of_key:
            return  # decided on when its object was read
        link = await self.links.of_record(record, self.mapping.system) or Link(record, self.mapping.system, TOKEN)
        link = begin_again(link, row, TOKEN) or link
        shown = self._row_in(row)
        waits_for = next((v for v in shown.values.values() if isinstance(v, str) and v.startswith(UNLINKED)), None)
        if link.attempt is not None:
            count(self.plan.left_out, UNDER_WAY, str(record))
        elif link.remote_id is not None and not link.deleted:
            count(self.plan.left_out, MISSING, f"{record} is {link.remote_id}")
        elif isinstance(decide(self.mapping, link, shown, Trigger()), Find):
            if waits_for is None:
                await self._find(link, row, shown)
            else:
                count(self.plan.left_out, "it points to a record without an object", str(record))

    async def _find(self, link: Link, row: Row, shown: Row) -> None:
        named = names(self.mapping, row)
        counterparts = await self._named(named) if named is not None else await self._matching(link.record, row)
        choice = choose_object(link.record, self.mapping.system, counterparts, named=named)
        if isinstance(choice, Impossible):
            gone = any(each.gone for each in counterparts)
            kind = "the row names an object that is not there" if gone else "the row's object has another row"
            self._for_people(kind, choice.reason)
        elif isinstance(choice, AdoptObject):
            answer = await self.remote.fetch(self.mapping.object, choice.id)
            self.plan.calls += 1
            await self._adopt(row, answer, choice.rule)
        else:
            if choice.ambiguous:
                count(self.plan.notes, "several objects match the row, so a new one is made", str(link.record))
            if self.foreseen.create(link, shown):
                self.pairs.of_key[row.key] = f"new:{row.key}"

    async def _named(self, named: str) -> Sequence[Counterpart]:
        self.plan.calls += 1
        if await self.links.is_retired(self.mapping.system, self.mapping.entity, named):
            return ()
        gone = named not in self._scan.ids and (await self.remote.fetch(self.mapping.object, named)).object.gone
        owner = self.pairs.of_object.get(named)
        return (Counterpart(named, gone=gone, owner=RecordId(self.mapping.entity, owner) if owner else None),)

    async def _matching(self, record: RecordId, row: Row) -> Sequence[Counterpart]:
        equal = match_of_row(self.mapping, row)
        found: list[Counterpart] = []
        for remote_id in self._scan.find(equal)[:MOST_CANDIDATES] if equal else ():
            self.plan.calls += 2  # what a scan has shown is looked at again, then a picture of it is taken
            if not await self.links.is_retired(self.mapping.system, self.mapping.entity, remote_id):
                owner = self.pairs.of_object.get(remote_id) or await self._named_by(remote_id, record)
                found.append(Counterpart(remote_id, owner=RecordId(self.mapping.entity, owner) if owner else None))
        return found

    async def _named_by(self, remote_id: str, record: RecordId) -> str | None:
        if self.mapping.id_column is None:
            return None
        async with self.catalogue.transaction() as tx:
            rows = await tx.search.find(self.mapping.entity, {self.mapping.id_column: remote_id}, limit=2)
        return next((row.key for row in rows if row.key != record.key), None)

    # --------------------------------------------------------------------------------------------------------- helpers

    def _row_in(self, row: Row) -> Row:
        """The row in the sync's form, by what was planned for the records that it points to."""
        values = dict(row.values)
        for each in self.mapping.fields:
            value = values.get(each.column)
            if each.ref is not None and value is not None:
                key = json.dumps({each.ref_key: value}, separators=(",", ":"), ensure_ascii=False)
                known = self.others.get(each.ref)
                values[each.column] = (known.of_key.get(key) if known else None) or UNLINKED + key
        return replace(row, values=values)

    def _for_people(self, kind: str, example: str) -> None:
        count(self.plan.left_out, kind, example)
        self.plan.dead_letters += 1


def _text(values: Mapping[str, Value]) -> str:
    return json.dumps(values, sort_keys=True)
