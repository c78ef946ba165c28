"""What was sent, what was seen, what is kept for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Update, and_, bindparam, insert, select, update

from bothways.model.link import Attempt
from bothways.model.outcome import Conflict, DeadLetter
from bothways.state.documents import dump, dump_attempt, load_attempt
from bothways.state.store import Session, Upserts
from bothways.state.tables import attempt as attempts
from bothways.state.tables import conflict as conflicts
from bothways.state.tables import dead_letter as letters
from bothways.state.tables import seen


class StoredJournal:
    """``ports.Journal`` inside one transaction. ``now`` gives unix seconds."""

    def __init__(self, session: Session, upserts: Upserts, now: Callable[[], float]) -> None:
        self._session, self._upserts, self._now = session, upserts, now

    async def record_attempt(self, attempt: Attempt) -> None:
        values = {
            "key": attempt.key,
            "system": attempt.system,
            "entity": attempt.record.entity,
            "record_key": attempt.record.key,
            "at": attempt.at,
            "document": dump_attempt(attempt),
        }
        await self._session.write(self._upserts.insert_or_replace(attempts), values)

    async def attempt(self, key: str) -> Attempt | None:
        found = await self._session.one(_ATTEMPT, {"p_key": key})
        return None if found is None else load_attempt(found["document"])

    async def see(self, system: str, event_id: str) -> bool:
        values = {"system": system, "event_id": event_id, "at": self._now()}
        return await self._session.changed(self._upserts.insert_new(seen), values) == 1

    async def was_seen(self, system: str, event_id: str) -> bool:
        return await self._session.one(_WAS_SEEN, {"p_system": system, "p_event": event_id}) is not None

    async def note(self, entry: Conflict | DeadLetter) -> None:
        if isinstance(entry, Conflict):
            await self._session.write(_NOTE_CONFLICT, self._conflict(entry))
        else:
            await self._note_letter(self._letter(entry))

    async def _note_letter(self, values: Mapping[str, object]) -> None:
        """Keep it, in the place of what was kept for the same cause: a try that fails again says nothing new.

        The lock keeps apart two that note the same for the first time.
        """
        name = "\n".join(("letter", *(str(values[each]) for each in _SAME)))
        await self._session.execute(self._upserts.lock, {"p_name": name})
        if (await self._session.execute(_renewed(values))).rowcount == 0:
            await self._session.execute(_NOTE_LETTER, values)

    def _conflict(self, entry: Conflict) -> dict[str, object]:
        return {
            "at": self._now(),
            "entity": entry.record.entity,
            "key": entry.record.key,
            "system": entry.system,
            "column": entry.column,
            "row_value": dump(entry.row_value),
            "remote_value": dump(entry.remote_value),
            "winner": entry.winner,
            "found_in": entry.found_in,
        }

    def _letter(self, entry: DeadLetter) -> dict[str, object]:
        return {
            "at": self._now(),
            "direction": entry.direction.value,
            "system": entry.system,
            "entity": entry.entity,
            "key": _storable(entry.key),
            "field": entry.field,
            "reason": _storable(entry.reason),
            "hint": _storable(entry.hint),
            "payload": _storable(entry.payload),
            "change": _storable(entry.change),
        }


def _storable(text: str) -> str:
    """Text that every database takes: a refused value may be refused for the very characters that it holds."""
    return text.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode()


def _renewed(values: Mapping[str, object]) -> Update:
    """It stays published unless more than the time is new, and somebody's wish to have it tried again stays."""
    same = and_(*(letters.c[name].is_not_distinct_from(values[name]) for name in _SAME))
    told = and_(*(letters.c[name] == values[name] for name in _NEW))
    renewed = {name: values[name] for name in ("at", *_NEW)}
    return update(letters).where(same).values(**renewed, published=letters.c.published & told)


_SAME = ("direction", "system", "entity", "key", "field", "reason")
"""What makes two letters the same one."""
_NEW = ("hint", "payload", "change")
"""What a later one brings with it, besides its time."""
_ATTEMPT = select(attempts.c.document).where(attempts.c.key == bindparam("p_key"))
_WAS_SEEN = select(seen.c.event_id).where(
    seen.c.system == bindparam("p_system"), seen.c.event_id == bindparam("p_event")
)
_NOTE_CONFLICT = insert(conflicts).inline()
_NOTE_LETTER = insert(letters).inline()
