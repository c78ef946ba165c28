"""Links in their table: found, locked, stored. One lock per link serialises all work on the pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, delete, select, update

from bothways.model.link import Link
from bothways.model.record import RecordId
from bothways.state.documents import dump_link, load_link
from bothways.state.store import Session, Upserts
from bothways.state.tables import link as table
from bothways.state.tables import retired


class StoredLinks:
    """``ports.Links``, ``LinkIndex``, ``References`` and ``Overdue`` inside one transaction."""

    def __init__(self, session: Session, upserts: Upserts, new_id: Callable[[], str]) -> None:
        self._session, self._upserts, self._new_id = session, upserts, new_id

    async def claim(self, record: RecordId, system: str) -> Link:
        while True:
            found = await self.lock(record, system)
            if found is not None:
                return found
            made = Link(record, system, self._new_id())
            # Of two at once one inserts; the other waits here for the end of that transaction, then finds the link.
            if await self._session.changed(self._upserts.insert_new(table), _columns(made)) == 1:
                return made

    async def lock(self, record: RecordId, system: str) -> Link | None:
        names = {"p_system": system, "p_entity": record.entity, "p_key": record.key}
        return await self._locked(_BY_RECORD, names)

    async def save(self, link: Link) -> None:
        await self._session.write(self._upserts.insert_or_replace(table), _columns(link))

    async def remove(self, link: Link) -> None:
        names = {"p_system": link.system, "p_entity": link.record.entity, "p_key": link.record.key}
        await self._session.write(_REMOVE, names)

    async def by_remote(self, system: str, entity: str, remote_id: str) -> Link | None:
        return await self._locked(_BY_REMOTE, {"p_system": system, "p_entity": entity, "p_remote_id": remote_id})

    async def by_token(self, system: str, token: str) -> Link | None:
        return await self._locked(_BY_TOKEN, {"p_system": system, "p_token": token})

    async def retire(self, system: str, entity: str, remote_id: str) -> None:
        values = {"system": system, "entity": entity, "remote_id": remote_id}
        await self._session.write(self._upserts.insert_new(retired), values)

    async def is_retired(self, system: str, entity: str, remote_id: str) -> bool:
        names = {"p_system": system, "p_entity": entity, "p_remote_id": remote_id}
        return await self._session.one(_IS_RETIRED, names) is not None

    async def remote_id(self, record: RecordId, system: str) -> str | None:
        names = {"p_system": system, "p_entity": record.entity, "p_key": record.key}
        found = await self._session.one(_REMOTE_ID, names)
        return None if found is None else found["remote_id"]

    async def record(self, system: str, entity: str, remote_id: str) -> RecordId | None:
        names = {"p_system": system, "p_entity": entity, "p_remote_id": remote_id}
        found = await self._session.one(_RECORD, names)
        return None if found is None else RecordId(entity, found["key"])

    async def take_overdue(self, now: float, limit: int, lease: float) -> Sequence[tuple[RecordId, str]]:
        rows = (await self._session.execute(_OVERDUE, {"p_now": now, "p_limit": limit})).all()
        taken = [(RecordId(row.entity, row.key), row.system) for row in rows]
        if taken:
            moved = {"p_due": now + lease}
            names = [{"p_system": row.system, "p_entity": row.entity, "p_key": row.key, **moved} for row in rows]
            await self._session.execute(_POSTPONE, names)
        return taken

    async def _locked(self, query: Select[Any], names: dict[str, Any]) -> Link | None:
        row = await self._session.one(query, names)
        return None if row is None else _link(row)


def _columns(link: Link) -> dict[str, Any]:
    return {
        "system": link.system,
        "entity": link.record.entity,
        "key": link.record.key,
        "token": link.token,
        "remote_id": link.remote_id,
        "deleted": link.deleted,
        "generation": link.generation,
        "revision": link.revision,
        "due": link.due,
        "document": dump_link(link),
    }


def _link(row: Mapping[str, Any]) -> Link:
    columns = dict(row)
    record = RecordId(columns.pop("entity"), columns.pop("key"))
    return load_link(columns.pop("document"), record=record, **columns)


# The statements are built once; their parameters' names begin with "p_", apart from the columns' own.


def _where(*names: str) -> ColumnElement[bool]:
    return and_(*(table.c[name] == bindparam(f"p_{name}") for name in names))


_BY_RECORD = select(table).where(_where("system", "entity", "key")).with_for_update()
_BY_REMOTE = select(table).where(_where("system", "entity", "remote_id")).with_for_update()
_BY_TOKEN = select(table).where(_where("system", "token")).with_for_update()
_REMOVE = delete(table).where(_where("system", "entity", "key"))
_REMOTE_ID = select(table.c.remote_id).where(_where("system", "entity", "key"), ~table.c.deleted)
_RECORD = select(table.c.key).where(_where("system", "entity", "remote_id"))
_IS_RETIRED = select(retired.c.system).where(
    retired.c.system == bindparam("p_system"),
    retired.c.entity == bindparam("p_entity"),
    retired.c.remote_id == bindparam("p_remote_id"),
)
_OVERDUE = (
    select(table.c.system, table.c.entity, table.c.key)
    .where(table.c.due <= bindparam("p_now"))
    .order_by(table.c.due)
    .limit(bindparam("p_limit"))
    .with_for_update(skip_locked=True)
)
_POSTPONE = update(table).where(_where("system", "entity", "key")).values(due=bindparam("p_due"))
