"""The user's records as whole rows, for the HTTP API and the command line."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.rows import PostgresRows
from bothways.connectors.postgres.session import Driver, Pipe
from bothways.connectors.postgres.statements import TableSql, key_text
from bothways.connectors.postgres.store import driver_of
from bothways.model.errors import Busy, NoSuchRecord, RowRefused
from bothways.model.record import RecordId, Row
from bothways.model.values import Values
from bothways.ports import RecordPage, Written
from bothways.state.cleanup import DAY
from bothways.state.documents import dump, load
from bothways.state.tables import request as requests


class PostgresRecords:
    """``ports.Records`` on an open catalogue."""

    def __init__(self, catalogue: PostgresCatalogue) -> None:
        self._catalogue = catalogue

    async def list(self, entity: str, limit: int, cursor: str | None) -> RecordPage:
        async with self._rows() as (_, _, rows):
            table = await rows.table(entity)
            after = None if cursor is None else _from_cursor(table, cursor)
            # One row more than asked tells whether there is a next page.
            found = await rows.page(entity, after, limit + 1)
        more = len(found) > limit
        return RecordPage([row.values for row in found[:limit]], _cursor(found[limit - 1].key) if more else None)

    async def get(self, entity: str, key: str) -> Values:
        async with self._rows() as (_, _, rows):
            return (await _found(rows, entity, key)).values

    async def write(
        self, entity: str, key: str | None, values: Values, *, idempotency_key: str | None = None
    ) -> Written:
        async with self._rows() as (connection, driver, rows):
            table = await rows.table(entity)
            _check_columns(table, values)
            if idempotency_key is not None:
                earlier = await self._earlier(connection, idempotency_key, _body(entity, key, values))
                if earlier is not None:
                    return earlier
            if key is None:
                row = (await rows.insert(entity, values)).values
            else:
                record = RecordId(entity, (await _found(rows, entity, key, lock=True)).key)
                row = (await rows.update(record, values)).values
            written = Written(row, await _token(driver))
            if idempotency_key is not None:
                answer = {"p_key": idempotency_key, "p_answer": dump(row), "p_token": written.token}
                await connection.execute(_ANSWER, answer)
        return written

    async def delete(self, entity: str, key: str) -> str:
        async with self._rows() as (_, driver, rows):
            row = await _found(rows, entity, key, lock=True)
            await rows.delete(RecordId(entity, row.key))
            return await _token(driver)

    async def _earlier(self, connection: AsyncConnection, key: str, body: str) -> Written | None:
        """The stored answer to this key; None where it is new, and then held until the end of the transaction.

        A request with the same key that is not at its end is waited for.
        """
        now = self._catalogue.now()
        await connection.execute(_FORGET, {"p_key": key, "p_horizon": now - DAY})
        values = {"key": key, "body": body, "at": now}
        made = await connection.execute(self._catalogue.store.upserts.insert_new(requests), values)
        if made.rowcount == 1:
            return None
        found = (await connection.execute(_FOUND, {"p_key": key})).one_or_none()
        if found is None:
            raise Busy("the stored answer has just expired")
        if found.body != body:
            raise RowRefused(
                "this idempotency key was used for another request", hint="use a new key for each new request"
            )
        return Written(cast(Values, load(found.answer)), found.token, repeated=True)

    @asynccontextmanager
    async def _rows(self) -> AsyncIterator[tuple[AsyncConnection, Driver, PostgresRows]]:
        async with self._catalogue.store.session() as connection:
            driver = await driver_of(connection)
            yield connection, driver, PostgresRows(Pipe(driver), self._catalogue.tables, whole=True)


async def _found(rows: PostgresRows, entity: str, key: str, *, lock: bool = False) -> Row:
    """The row that people mean. Raises ``NoSuchRecord``, also for what cannot be a key of the table."""
    names = (await rows.table(entity)).table.key
    parts = [key] if len(names) == 1 else next(csv.reader([key]), [])
    missing = NoSuchRecord(f"there is no {entity} {key}", hint=f"a key of {entity} is: {', '.join(names)}")
    if len(parts) != len(names):
        raise missing
    try:
        row = await rows.read(RecordId(entity, key_text(dict(zip(names, parts, strict=True)))), lock=lock)
    except (RowRefused, psycopg.DataError) as error:  # no text of the key's type
        raise missing from error
    if row is None:
        raise missing
    return row


def _check_columns(table: TableSql, values: Values) -> None:
    for name in values:
        column = table.columns.get(name)
        if column is None:
            raise RowRefused(
                f"{table.table.sql_name} has no column {name!r}",
                field=name,
                hint=f"its columns are {', '.join(table.columns)}",
            )
        if column.generated:
            raise RowRefused(f"the column {name!r} is written by the database alone", field=name, hint="leave it out")


async def _token(driver: Driver) -> str:
    """Where the write stands in the WAL: its commit comes after this place, by the transaction of this number."""
    cursor = await driver.execute(_TOKEN)
    row: tuple[Any, ...] | None = await cursor.fetchone()
    assert row is not None
    return f"{row[0]}-{row[1]}"


def _body(entity: str, key: str | None, values: Values) -> str:
    text = json.dumps([entity, key, values], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _from_cursor(table: TableSql, cursor: str) -> str:
    try:
        key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        table.key_parameters(key)
    except (ValueError, RowRefused, binascii.Error) as error:
        raise RowRefused("this cursor is none of ours", hint="leave it out to begin at the start") from error
    return key


_TOKEN = b"SELECT (pg_current_wal_insert_lsn() - '0/0')::text, pg_current_xact_id()::xid::text"
_FORGET = delete(requests).where(requests.c.key == bindparam("p_key"), requests.c.at < bindparam("p_horizon"))
_FOUND = select(requests.c.body, requests.c.answer, requests.c.token).where(requests.c.key == bindparam("p_key"))
_ANSWER = (
    update(requests)
    .where(requests.c.key == bindparam("p_key"))
    .values(answer=bindparam("p_answer"), token=bindparam("p_token"))
)
