"""Remote objects that no record is linked to: find their row, or make one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bothways.flow.apply import Source, apply, plain
from bothways.flow.context import Context
from bothways.flow.references import References, UnknownReference
from bothways.flow.steady import Later, Steady
from bothways.model.errors import NotUnique, RowRefused
from bothways.model.link import Base, Link
from bothways.model.outcome import DeadLetter, Direction
from bothways.model.record import RecordId, RemoteObject, Row
from bothways.model.remote import Answer, Happening, RemoteEvent
from bothways.model.values import Value, Values
from bothways.ports import Transaction
from bothways.sync.linking import (
    MOST_CANDIDATES,
    Adopt,
    Candidate,
    Impossible,
    New,
    RowChoice,
    Rule,
    Standing,
    Waits,
    choose_row,
    match_of_object,
    new_row,
    standing,
)
from bothways.sync.mapping import EntityMapping
from bothways.sync.merge import Merge, observe, settle
from bothways.sync.outward import Taken, needs_nothing


class _Wait(Exception):
    """The row that matches is being sent by a call under way."""


class _MatchAgain(Exception):
    """There is such a row already: it came after we looked for one."""


class BringIn:
    """Links one system's unknown objects."""

    def __init__(self, context: Context, system: str) -> None:
        self.context, self.system = context, system
        self.remote = context.remotes[system]
        self.steady = Steady(context, system)

    async def bring_in(self, mapping: EntityMapping, event: RemoteEvent, source: Source, *, again: bool) -> bool:
        """Deal with an event of an object that is not linked; False where it has been linked, or is being linked."""
        if event.happening is Happening.DELETED or await self.steady.retried(self._retired, mapping, event.snapshot.id):
            await self.steady.retried(self._finish, mapping, event)
            return True
        answer = await self.steady.called(self.remote.fetch, mapping.object, event.snapshot.id)
        return await self.picture(mapping, answer, source, event_id=None if again else event.id)

    async def bring_in_referenced(self, entity: str, remote_id: str) -> None:
        """Bring in what another object points to. Raises ``Later`` where that cannot have a record now."""
        await self._bring_in_referenced(entity, remote_id, ())

    async def _bring_in_referenced(self, entity: str, remote_id: str, within: tuple[tuple[str, str], ...]) -> None:
        mapping = self.context.mappings[entity, self.system]
        answer = await self.steady.called(self.remote.fetch, mapping.object, remote_id)
        await self._picture(mapping, answer, Source(f"reference to {remote_id}"), None, within)

    async def picture(self, mapping: EntityMapping, answer: Answer, source: Source, *, event_id: str | None) -> bool:
        """Link an object by a picture of it that was just taken; False where it is linked or being linked already."""
        return await self._picture(mapping, answer, source, event_id, ())

    async def _picture(
        self,
        mapping: EntityMapping,
        answer: Answer,
        source: Source,
        event_id: str | None,
        within: tuple[tuple[str, str], ...],
    ) -> bool:
        """``within``: what is being brought in already, because the one before points to it."""
        here = (*within, (mapping.entity, answer.object.id))
        asked: set[str] = set()
        matched_again = False
        while True:
            try:
                return await self.steady.retried(self._link, mapping, answer, source, event_id, matched_again)
            except _Wait:
                return False
            except _MatchAgain:
                matched_again = True
            except UnknownReference as unknown:
                if unknown.remote_id in asked or (unknown.entity, unknown.remote_id) in here:
                    raise Later from None
                asked.add(unknown.remote_id)
                await self._bring_in_referenced(unknown.entity, unknown.remote_id, here)

    async def _retired(self, mapping: EntityMapping, remote_id: str) -> bool:
        async with self.context.catalogue.transaction() as tx:
            return await tx.index.is_retired(self.system, mapping.entity, remote_id)

    async def _finish(self, mapping: EntityMapping, event: RemoteEvent) -> None:
        async with self.context.catalogue.transaction() as tx:
            await tx.journal.see(self.system, event.id)
            if event.happening is Happening.DELETED:
                await tx.index.retire(self.system, mapping.entity, event.snapshot.id)

    async def _link(
        self, mapping: EntityMapping, answer: Answer, source: Source, event_id: str | None, matched_again: bool
    ) -> bool:
        shown = answer.object
        async with self.context.catalogue.transaction() as tx:
            if await self._is_known(tx, mapping, shown):
                return False
            if event_id is not None and not await tx.journal.see(self.system, event_id):
                return True
            if shown.gone:
                await tx.index.retire(self.system, mapping.entity, shown.id)
                return True
            if await tx.index.is_retired(self.system, mapping.entity, shown.id):
                return True
            choice = await self._choose(tx, mapping, shown)
            if isinstance(choice, Waits):
                raise _Wait
            if isinstance(choice, Adopt):
                await self._adopt(tx, mapping, choice.row, answer, source)
            elif isinstance(choice, New):
                await self._insert(tx, mapping, answer, source, may_match=not matched_again)
            elif isinstance(choice, Impossible):
                await tx.journal.note(self._letter(mapping, shown, choice, source))
            return True

    async def _is_known(self, tx: Transaction, mapping: EntityMapping, shown: RemoteObject) -> bool:
        if await tx.index.by_remote(self.system, mapping.entity, shown.id) is not None:
            return True
        if shown.mark is None or shown.mark.installation != self.context.installation:
            return False
        link = await tx.index.by_token(self.system, shown.mark.token)
        if link is None:
            return False
        if link.attempt is not None:
            raise _Wait
        return link.remote_id is not None

    # -------------------------------------------------------------------------------------------------------- matching

    async def _choose(self, tx: Transaction, mapping: EntityMapping, shown: RemoteObject) -> RowChoice:
        """The row that is this object, if there is one that may be."""
        named = {mapping.id_column: shown.id} if mapping.id_column else {}
        choice = await self._among(tx, mapping, Rule.ID_COLUMN, await self._rows_of(tx, mapping, named), shown.id)
        choice = choice or await self._among(tx, mapping, Rule.MARK, await self._marked(tx, mapping, shown), shown.id)
        if choice is None:
            rows = await self._rows_of(tx, mapping, match_of_object(mapping, shown.document))
            choice = await self._among(tx, mapping, Rule.MATCH, rows, shown.id)
        return choice or New()

    async def _among(
        self, tx: Transaction, mapping: EntityMapping, rule: Rule, rows: Sequence[Row], remote_id: str
    ) -> RowChoice | None:
        found: list[Candidate] = []
        for row in rows:
            if row.takes_part:
                link = await tx.links.claim(RecordId(mapping.entity, row.key), self.system)
                found.append(Candidate(row, standing(link), link.remote_id))
            else:
                found.append(Candidate(row, Standing.TAKEN))
        return choose_row(mapping, rule, found, remote_id)

    async def _rows_of(self, tx: Transaction, mapping: EntityMapping, equal: Values) -> Sequence[Row]:
        return await tx.search.find(mapping.entity, equal, limit=MOST_CANDIDATES) if equal else ()

    async def _marked(self, tx: Transaction, mapping: EntityMapping, shown: RemoteObject) -> Sequence[Row]:
        """The row whose link made this object, though the link does not know it: the state is an older copy."""
        if shown.mark is None or shown.mark.installation != self.context.installation:
            return ()
        link = await tx.index.by_token(self.system, shown.mark.token)
        row = await tx.rows.read(link.record) if link is not None and link.record.entity == mapping.entity else None
        return () if row is None else (row,)

    def _letter(
        self, mapping: EntityMapping, shown: RemoteObject, why: Impossible, source: Source, column: str | None = None
    ) -> DeadLetter:
        payload, cause = source.payload or "{}", source.cause
        return DeadLetter(
            Direction.IN, self.system, mapping.entity, shown.id, column, why.reason, why.hint, payload, cause
        )

    # ------------------------------------------------------------------------------------------------------ linking it

    async def _adopt(self, tx: Transaction, mapping: EntityMapping, row: Row, answer: Answer, source: Source) -> None:
        record = RecordId(mapping.entity, row.key)
        link = await tx.links.claim(record, self.system)
        locked = await tx.rows.read(record, lock=True)
        if locked is None:
            raise _Wait
        link = await self._begin_again(tx, link)
        shown = await References(tx, mapping).row_in(locked)
        adopted = replace(link, remote_id=answer.object.id, refused={})  # that was said of a record without an object
        seen = mapping.read(answer.object.document)
        merge = observe(mapping, adopted, shown, seen, answer.window, found_in="linking")
        after = replace(shown, values={**shown.values, **merge.row_patch})
        if not needs_nothing(mapping, settle(merge, after), after):
            # the row's own message may be long done: it was left alone, or it is older than the sync
            merge = replace(merge, link=replace(merge.link, due=self.context.clock.now()))
        await apply(tx, mapping, link, replace(plain(merge), born=True), shown, source)

    async def _insert(
        self, tx: Transaction, mapping: EntityMapping, answer: Answer, source: Source, *, may_match: bool
    ) -> None:
        """A new row, with all that the database takes; what it refuses becomes a dead letter of its own."""
        new = new_row(mapping, answer.object.document, answer.object.id)
        values, refused = dict(new.values), dict(new.refused)
        try:
            row = await self._try_insert(tx, mapping, values, refused)
        except NotUnique as error:
            if may_match:
                raise _MatchAgain from None
            refused[""], row = str(error), None
        then = "replay this letter" if source.payload else "run `bothways backfill --again`"
        hint = f"change the value in {self.system}, or the constraint, then {then}"
        for column, reason in refused.items():
            why = Impossible(reason, hint)
            await tx.journal.note(self._letter(mapping, answer.object, why, source, column or None))
        if row is None:
            return
        await self._link_new(tx, mapping, await References(tx, mapping).row_in(row), answer, source, refused)

    async def _try_insert(
        self, tx: Transaction, mapping: EntityMapping, values: dict[str, Value], refused: dict[str, str]
    ) -> Row | None:
        references = References(tx, mapping)
        while True:
            try:
                return await tx.rows.insert(mapping.entity, await references.patch_out(values))
            except RowRefused as error:
                if error.field is None or error.field not in values or error.field == mapping.id_column:
                    refused[error.field or ""] = str(error)
                    return None
                refused[error.field] = str(error)
                del values[error.field]

    async def _link_new(
        self,
        tx: Transaction,
        mapping: EntityMapping,
        row: Row,
        answer: Answer,
        source: Source,
        refused: dict[str, str],
    ) -> None:
        seen = mapping.read(answer.object.document)
        record = RecordId(mapping.entity, row.key)
        fresh = await self._begin_again(tx, await tx.links.claim(record, self.system))
        agreed = [each.column for each in mapping.fields if each.comes_in or row.values.get(each.column) is None]
        link = replace(
            fresh,
            remote_id=answer.object.id,
            base=Base({c: row.values.get(c) for c in agreed}, {**seen}),
            window=answer.window,
            revision=fresh.revision + 1,
            refused_inward={c: seen[c] for c in refused if c in seen},
        )
        await apply(tx, mapping, fresh, Taken(Merge(link), born=True), None, source)
        if needs_nothing(mapping, link, row):
            await tx.mark(self.system, source.cause)

    async def _begin_again(self, tx: Transaction, link: Link) -> Link:
        """The link for a new pair, where the key's last one is over; that one's object never comes back."""
        if not link.deleted:
            return link
        if link.remote_id is not None:
            await tx.index.retire(self.system, link.record.entity, link.remote_id)
        token, revision = self.context.new_id(), link.revision + 1
        return Link(link.record, self.system, token, link.generation + 1, revision=revision)
