"""Links as they are, without locks: for what only looks. They may have changed when the answer arrives."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, and_, bindparam, inspect, select

from bothways.model.link import Link
from bothways.model.record import RecordId
from bothways.state.documents import load_link
from bothways.state.store import Store
from bothways.state.tables import link as table
from bothways.state.tables import retired


async def has_state(store: Store) -> bool:
    """Whether `setup` has ever run on this database."""
    async with store.session() as connection:
        return await connection.run_sync(lambda sync: inspect(sync).has_table(table.name, schema=table.schema))


class LinkReading:
    """Each answer is a transaction of its own, which writes nothing. ``exists``: whether there is any state."""

    def __init__(self, store: Store, *, exists: bool = True) -> None:
        self._store, self._exists = store, exists

    async def of_record(self, record: RecordId, system: str) -> Link | None:
        """The record's link."""
        return await self._link(_OF_RECORD, p_system=system, p_entity=record.entity, p_key=record.key)

    async def of_object(self, system: str, entity: str, remote_id: str) -> Link | None:
        """The current link of a remote object."""
        return await self._link(_OF_OBJECT, p_system=system, p_entity=entity, p_remote_id=remote_id)

    async def of_token(self, system: str, token: str) -> Link | None:
        """The link with this token: that of our mark."""
        return await self._link(_OF_TOKEN, p_system=system, p_token=token)

    async def is_retired(self, system: str, entity: str, remote_id: str) -> bool:
        """Whether the remote object is known to be gone for good."""
        names = {"p_system": system, "p_entity": entity, "p_remote_id": remote_id}
        if not self._exists:
            return False
        async with self._store.session() as connection:
            return (await connection.execute(_IS_RETIRED, names)).first() is not None

    async def _link(self, query: Select[Any], **names: str) -> Link | None:
        if not self._exists:
            return None
        async with self._store.session() as connection:
            row = (await connection.execute(query, names)).mappings().one_or_none()
        if row is None:
            return None
        columns = dict(row)
        record = RecordId(columns.pop("entity"), columns.pop("key"))
        return load_link(columns.pop("document"), record=record, **columns)


def _query(*names: str) -> Select[Any]:
    return select(table).where(and_(*(table.c[name] == bindparam(f"p_{name}") for name in names)))


_OF_RECORD = _query("system", "entity", "key")
_OF_OBJECT = _query("system", "entity", "remote_id")
_OF_TOKEN = _query("system", "token")
_IS_RETIRED = select(retired.c.system).where(
    and_(*(retired.c[name] == bindparam(f"p_{name}") for name in ("system", "entity", "remote_id")))
)
