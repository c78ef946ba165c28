"""An object of a list meets its record: it is linked or made a row, or what it shows is merged into its row."""

from __future__ import annotations

from enum import Enum, auto

from bothways.flow.apply import Source, apply, plain
from bothways.flow.bringin import BringIn
from bothways.flow.context import Context
from bothways.flow.references import References, UnknownReference
from bothways.flow.steady import Steady
from bothways.model.link import Link, Window
from bothways.model.outcome import DeadLetter, Direction
from bothways.model.record import RemoteObject, Row
from bothways.model.remote import Answer
from bothways.ports import Transaction
from bothways.sync.inward import MARGIN_SECONDS
from bothways.sync.mapping import EntityMapping
from bothways.sync.merge import observe

LOOKS = 4
"""So often an object is looked at that changes each time."""
_MISSING = object()


class _Met(Enum):
    """What came of it."""

    DONE = auto()
    STRANGER = auto()
    """No record is linked to it."""
    LOOK = auto()
    """It cannot be told whether what is known of it is newer: a new picture is needed."""


class Meeting:
    """One system's listed objects, one at a time each."""

    def __init__(self, context: Context, system: str, cause: str) -> None:
        """``cause``: what rows are changed by, for the marker and dead letters."""
        self.context, self.system, self.source = context, system, Source(cause)
        self.steady = Steady(context, system)
        self.bringin = BringIn(context, system)

    async def meet(self, mapping: EntityMapping, answer: Answer) -> bool:
        """Deal with a picture of an object; False where a call under way has to end first."""
        if await self.bringin.picture(mapping, answer, self.source, event_id=None):
            return True
        before: Link | None = None
        for _ in range(LOOKS):
            met, before = await self._merge_known(mapping, answer, before)
            if met is not _Met.LOOK:
                return met is _Met.DONE
            answer = await self.steady.called(self.context.remotes[self.system].fetch, mapping.object, answer.object.id)
            if answer.object.gone:
                return True  # its deletion has an event
        return False

    async def meet_again(self, mapping: EntityMapping, remote_id: str) -> bool:
        """The same for an object that had to wait, by a new picture."""
        fetch = self.context.remotes[self.system].fetch
        answer = await self.steady.called(fetch, mapping.object, remote_id)
        if answer.object.gone or await self.meet(mapping, answer):
            return True
        return await self.steady.retried(self._give_up, mapping, answer.object)

    async def _merge_known(
        self, mapping: EntityMapping, answer: Answer, before: Link | None
    ) -> tuple[_Met, Link | None]:
        while True:
            try:
                return await self.steady.retried(self._merge, mapping, answer, before)
            except UnknownReference as unknown:
                await self.bringin.bring_in_referenced(unknown.entity, unknown.remote_id)

    async def _merge(self, mapping: EntityMapping, answer: Answer, before: Link | None) -> tuple[_Met, Link | None]:
        """``before``: the link that was there when the picture was asked for, which then is news if nothing moved."""
        async with self.context.catalogue.transaction() as tx:
            link = await tx.index.by_remote(self.system, mapping.entity, answer.object.id)
            if link is None:
                return _Met.STRANGER, None
            if link.attempt is not None or link.deleted:
                return _Met.DONE, link  # the call's answer is a newer picture; what is deleted stays so
            row = await tx.rows.read(link.record, lock=True)
            if row is None:
                return _Met.DONE, link  # its deletion, or its new key, is on the log
            row = await References(tx, mapping).row_in(row)
            if self._known(mapping, link, row, answer):
                return _Met.DONE, link
            if before is None and link.window is not None:
                if answer.window.high < link.window.low - MARGIN_SECONDS:
                    return _Met.DONE, link
                if not is_after(answer.window, link.window):
                    return _Met.LOOK, link
            if before is not None and (link.revision, link.token) != (before.revision, before.token):
                return _Met.LOOK, link
            seen = mapping.read(answer.object.document)
            merge = observe(mapping, link, row, seen, answer.window, found_in="event")
            await apply(tx, mapping, link, plain(merge), row, self.source)
            return _Met.DONE, link

    def _known(self, mapping: EntityMapping, link: Link, row: Row, answer: Answer) -> bool:
        """The object shows nothing new, and the row holds its id: then nothing is written."""
        if mapping.id_column and row.values.get(mapping.id_column) != link.remote_id:
            return False
        seen = mapping.read(answer.object.document)
        return all(link.base.remote.get(column, _MISSING) == value for column, value in seen.items())

    async def _give_up(self, mapping: EntityMapping, shown: RemoteObject) -> bool:
        """What carries the mark of a record that has another object by now is for people; the rest still waits."""
        async with self.context.catalogue.transaction() as tx:
            link = await self._marked(tx, shown)
            if link is None or link.attempt is not None or link.remote_id in (None, shown.id):
                return False
            await tx.journal.note(
                DeadLetter(
                    Direction.IN,
                    self.system,
                    mapping.entity,
                    shown.id,
                    None,
                    f"{shown.id} was made for {link.record}, which is linked to {link.remote_id}",
                    "delete one of the two objects, or take our metadata out of this one",
                    "{}",
                    self.source.cause,
                )
            )
            return True

    async def _marked(self, tx: Transaction, shown: RemoteObject) -> Link | None:
        if shown.mark is None or shown.mark.installation != self.context.installation:
            return None
        return await tx.index.by_token(self.system, shown.mark.token)


def is_after(picture: Window, known: Window) -> bool:
    """Whether a picture was surely read after what is known."""
    return picture.low > known.high + MARGIN_SECONDS
