"""What setting up has in common, whichever way changes are captured."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from bothways.connectors.postgres.errors import transaction_error
from bothways.connectors.postgres.reaching import reach
from bothways.connectors.postgres.store import Limits, PostgresStore
from bothways.connectors.postgres.values import SESSION
from bothways.model.errors import Busy, SettingsError
from bothways.state.schema import make_installation, upgrade

Connection = psycopg.AsyncConnection[Any]

SETUP_LOCK = 5_279_410_386_217
"""Any number: the advisory lock under which one ``setup`` at a time works on a database."""
_PATIENT = Limits(connections=1, lock=30.0, statement=0.0, idle=600.0)
"""A migration of many rows takes its time; 0: no end."""


async def make_state(url: str, new_id: Callable[[], str]) -> tuple[list[str], bool]:
    """What was done, and whether the installation is new."""
    store = PostgresStore(url, _PATIENT)
    try:
        done = await upgrade(store)
        async with store.session() as connection:
            made = await make_installation(connection, new_id)
    finally:
        await store.close()
    return (done, False) if made is None else ([*done, f"this installation is {made}"], True)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A connection of its own, every statement its own transaction; errors come out in our words."""
    try:
        async with await reach(url, timeout=10) as connection:
            settings = "; ".join(f"SET {name} = '{value}'" for name, value in SESSION.items())
            await connection.execute(settings.encode(), prepare=False)
            yield connection
    except psycopg.Error as error:
        told = transaction_error(error)
        if told is not None:
            raise told from error
        message = error.diag.message_primary or str(error)
        raise SettingsError(f"the catalogue refuses: {message}", hint=error.diag.message_hint or "") from error


async def one_row(connection: Connection, statement: str, *values: str) -> tuple[Any, ...] | None:
    """The first row that it gives."""
    cursor = await connection.execute(statement.encode(), values)
    found: tuple[Any, ...] | None = await cursor.fetchone()
    return found


def refuse_reader(process: int | None) -> None:
    """Raise ``Busy`` where this process of the server captures."""
    if process is not None:
        raise Busy(
            f"changes are being captured (by the server's process {process})",
            hint="stop `bothways up` first, wherever it runs",
        )
