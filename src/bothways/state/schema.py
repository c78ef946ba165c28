"""Making the state's tables, and bringing older ones up to date: numbered steps, each in a transaction of its own.

Step 1 makes the tables as they are in ``tables`` today. A later step changes what an older step 1 has made, and must
find it in order where a newer one did: ``ADD COLUMN IF NOT EXISTS``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateSchema

from bothways.model.errors import SettingsError
from bothways.state.documents import dump, load
from bothways.state.store import Store
from bothways.state.tables import SCHEMA, checkpoint, metadata, step

_INSTALLATION = "installation"


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the schema. ``run`` works in the step's transaction."""

    number: int
    name: str
    run: Callable[[AsyncConnection], Awaitable[None]]


async def _first_tables(connection: AsyncConnection) -> None:
    await connection.run_sync(metadata.create_all)


STEPS: Sequence[Step] = (Step(1, "the first tables", _first_tables),)


async def take_steps(store: Store, steps: Sequence[Step] = STEPS) -> list[str]:
    """Take the steps that this database has not taken; returns what was done, for people.

    Raises ``SettingsError`` where a newer bothways has been here. Two at once are kept apart by the caller.
    """
    done = []
    async with store.session() as connection:
        if not await connection.run_sync(_has_schema):
            await connection.execute(CreateSchema(SCHEMA))
            done.append(f"made the schema {SCHEMA}")
        await connection.run_sync(lambda sync: step.create(sync, checkfirst=True))
    for each in steps:
        async with store.session() as connection:
            taken = await _taken(connection)
            _refuse_newer(taken, steps)
            if each.number not in taken:
                await each.run(connection)
                row = {"number": each.number, "name": each.name, "at": time.time()}
                await connection.execute(insert(step), row)
                done.append(f"state, step {each.number}: {each.name}")
    return done


async def require_current(connection: AsyncConnection, steps: Sequence[Step] = STEPS) -> None:
    """Raise ``SettingsError`` unless every step was taken, and none that this program does not know."""
    taken = await _taken(connection) if await connection.run_sync(_has_steps) else set()
    _refuse_newer(taken, steps)
    if {each.number for each in steps} - taken:
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


async def _taken(connection: AsyncConnection) -> set[int]:
    return set((await connection.execute(select(step.c.number))).scalars())


def _refuse_newer(taken: set[int], steps: Sequence[Step]) -> None:
    if taken - {each.number for each in steps}:
        raise SettingsError(
            "the sync's tables in the catalogue were made by a newer bothways",
            hint="run that version; an older one would not understand them",
        )


def _has_schema(connection: Connection) -> bool:
    return inspect(connection).has_schema(SCHEMA)


def _has_steps(connection: Connection) -> bool:
    return inspect(connection).has_table(step.name, schema=SCHEMA)
