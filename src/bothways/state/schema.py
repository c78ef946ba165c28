"""Making the state's tables, and bringing older ones up to date: each migration in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateSchema

from bothways.model.errors import SettingsError
from bothways.state.documents import dump, load
from bothways.state.revisions import Revision, Revisions, reached
from bothways.state.store import Store
from bothways.state.tables import SCHEMA, checkpoint

_INSTALLATION = "installation"
_LOCK = "migrations"
"""The lock under which one program at a time changes the schema."""
_SHIPPED = Revisions()


async def upgrade(store: Store, revisions: Revisions = _SHIPPED) -> list[str]:
    """Bring the schema to what this program knows; returns what was done, for people.

    May run in any number of programs at once: each migration is taken by one of them, the others wait for its end.
    Killed at any point, it goes on at the next call. Raises ``SettingsError`` where a newer bothways has been here, and
    ``Busy`` where others keep a table locked; what was done by then stays.
    """
    done: list[str] = []
    while True:
        async with store.session() as connection:
            await connection.execute(store.upserts.lock, {"p_name": _LOCK})
            waiting = await _missing(connection, revisions)
            if not waiting:
                return done
            if not await connection.run_sync(_has_schema):
                await connection.execute(CreateSchema(SCHEMA))
                done.append(f"made the schema {SCHEMA}")
            await connection.run_sync(revisions.take, waiting[0])
        done.append(f"state, migration {waiting[0].number}: {waiting[0].name}")


async def require_current(connection: AsyncConnection, revisions: Revisions = _SHIPPED) -> None:
    """Raise ``SettingsError`` unless the schema is the one that this program knows."""
    if await _missing(connection, revisions):
        raise SettingsError(
            "the sync's tables in the catalogue are missing or older than this program", hint="run `bothways setup`"
        )


async def make_installation(connection: AsyncConnection, new_id: Callable[[], str]) -> str | None:
    """Give this installation its id; None if it has one."""
    found = (await connection.execute(select(checkpoint.c.name).where(checkpoint.c.name == _INSTALLATION))).first()
    if found is not None:
        return None
    made = new_id()
    await connection.execute(insert(checkpoint), {"name": _INSTALLATION, "value": dump(made)})
    return made


async def installation(connection: AsyncConnection) -> str:
    """The id of this installation. Raises ``SettingsError`` where ``setup`` never ran."""
    query = select(checkpoint.c.value).where(checkpoint.c.name == _INSTALLATION)
    found = (await connection.execute(query)).scalar_one_or_none()
    value = None if found is None else load(found)
    if not isinstance(value, str):
        raise SettingsError("this installation has no id yet", hint="run `bothways setup`")
    return value


async def _missing(connection: AsyncConnection, revisions: Revisions) -> list[Revision]:
    """The migrations that were not taken yet."""
    at = await connection.run_sync(reached)
    try:
        return revisions.after(at)
    except KeyError:
        latest = revisions.all()[-1].number
        raise SettingsError(
            f"the sync's tables in the catalogue were made by a newer bothways: they are at migration {at},"
            f" this one knows {latest}",
            hint="run the newer version; to go back to this one, restore the catalogue as it was before the upgrade",
        ) from None


def _has_schema(connection: Connection) -> bool:
    return inspect(connection).has_schema(SCHEMA)
