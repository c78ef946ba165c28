"""What waits in the state, and small named values."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, bindparam, delete, select, update

from bothways.model.outcome import Direction, Parked
from bothways.model.values import Value
from bothways.state.documents import dump, load
from bothways.state.store import Session, Upserts
from bothways.state.tables import checkpoint
from bothways.state.tables import parked as table


class StoredWaiting:
    """``ports.Waiting`` inside one transaction."""

    def __init__(self, session: Session, upserts: Upserts) -> None:
        self._session, self._upserts = session, upserts

    async def park(self, parked: Parked) -> None:
        values = {
            "id": parked.id,
            "direction": parked.direction.value,
            "system": parked.system,
            "entity": parked.entity,
            "key": parked.key,
            "waits_on": parked.waits_on,
            "payload": parked.payload,
            "due": parked.due,
        }
        await self._session.write(self._upserts.insert_or_replace(table), values)

    async def wake(self, name: str) -> None:
        await self._session.write(_WAKE, {"p_name": name})

    async def take_due(self, now: float, limit: int, lease: float) -> Sequence[Parked]:
        rows = (await self._session.execute(_DUE, {"p_now": now, "p_limit": limit})).mappings().all()
        taken = [parked_of(row) for row in rows]
        if taken:
            names = {"p_ids": [each.id for each in taken], "p_due": now + lease}
            await self._session.execute(_POSTPONE, names)
        return taken

    async def unpark(self, parked_id: str) -> None:
        await self._session.write(_REMOVE, {"p_id": parked_id})


class StoredCheckpoints:
    """``ports.Checkpoints`` inside one transaction."""

    def __init__(self, session: Session, upserts: Upserts) -> None:
        self._session, self._upserts = session, upserts

    async def load(self, name: str) -> Value:
        found = await self._session.one(_LOAD, {"p_name": name})
        return None if found is None else load(found["value"])

    async def hold(self, name: str, *, shared: bool = False) -> Value:
        if not shared:
            await self._session.execute(self._upserts.insert_new(checkpoint), {"name": name, "value": dump(None)})
        query = _HOLD_SHARED if shared else _HOLD
        text = (await self._session.execute(query, {"p_name": name})).scalar_one_or_none()
        return None if text is None else load(text)

    async def store(self, name: str, value: Value) -> None:
        values = {"name": name, "value": dump(value)}
        await self._session.write(self._upserts.insert_or_replace(checkpoint), values)


def parked_of(row: RowMapping) -> Parked:
    """A row of the table as what it stands for."""
    columns = dict(row)
    return Parked(direction=Direction(columns.pop("direction")), **columns)


_WAKE = update(table).where(table.c.waits_on == bindparam("p_name")).values(due=0.0)
_DUE = (
    select(table)
    .where(table.c.due <= bindparam("p_now"))
    .order_by(table.c.due, table.c.id)
    .limit(bindparam("p_limit"))
    .with_for_update(skip_locked=True)
)
_POSTPONE = update(table).where(table.c.id.in_(bindparam("p_ids", expanding=True))).values(due=bindparam("p_due"))
_REMOVE = delete(table).where(table.c.id == bindparam("p_id"))
_LOAD = select(checkpoint.c.value).where(checkpoint.c.name == bindparam("p_name"))
_HOLD = _LOAD.with_for_update()
_HOLD_SHARED = _LOAD.with_for_update(read=True)
