"""What keeps a mapped table from being seen as the settings say: asked by capture while it runs, and by the status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

from bothways.connectors.postgres.outbox import COVERED
from bothways.connectors.postgres.tables import TableDescription, describe, quoted
from bothways.model.errors import SourceLost
from bothways.sync.mapping import TableMap

Connection = psycopg.AsyncConnection[Any]
_SETUP = "run `bothways setup`, which mends it, then `bothways backfill`"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with one entity's table."""

    reason: str
    hint: str
    loses: bool = False
    """Changes are made of which capture hears nothing: both sides have to be compared when it is over."""

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})"


class Coverage(Protocol):
    """What there is that makes the changes of tables come."""

    def trouble(self, table: TableMap, described: TableDescription) -> Trouble | None:
        """Why changes of this table do not come as they should; None where they do."""
        ...


Cover = Callable[[Connection], Awaitable[Coverage]]
"""Looks at what is there now. Raises ``SourceLost`` where no changes can come at all."""


async def look_at_tables(url: str, tables: Sequence[TableMap], cover: Cover) -> Mapping[str, str]:
    """Entity → what is wrong with its table, for people; nothing of those that are well."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=10) as connection:
        try:
            coverage = await cover(connection)
        except SourceLost as error:
            return {table.entity: str(error) for table in tables}
        found = [(table, await describe(connection, table)) for table in tables]
    troubles = ((table.entity, trouble_of(table, described, coverage)) for table, described in found)
    return {entity: str(trouble) for entity, trouble in troubles if trouble is not None}


def trouble_of(table: TableMap, described: TableDescription | None, coverage: Coverage) -> Trouble | None:
    """What is wrong with this table, the worst first; None where nothing is."""
    if described is None:
        return Trouble(
            f"the table {table.table} is gone",
            "put it back, or name another one in the settings and run `bothways setup`",
            loses=True,
        )
    where = described.sql_name
    if not described.key:
        return Trouble(f"the table {where} has no primary key", f"ALTER TABLE {where} ADD PRIMARY KEY (…);")
    return coverage.trouble(table, described) or _missing(table, described)


def _missing(table: TableMap, described: TableDescription) -> Trouble | None:
    missing = sorted(table.columns - set(described.columns))
    if not missing:
        return None
    return Trouble(
        f"the table {described.sql_name} has no column {missing[0]!r}, which is mapped",
        "put the column back, or take it out of the settings",
    )


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication shows: a ``Coverage``."""

    name: str
    left_out: Sequence[str]
    """Kinds of change that it does not publish: ``update``."""
    columns: Mapping[tuple[str, str], frozenset[str] | None]
    """Schema and table → the columns that it shows; None where that is all of them."""
    filtered: frozenset[tuple[str, str]]
    """Tables of which it shows some rows only."""

    def trouble(self, table: TableMap, described: TableDescription) -> Trouble | None:
        where, name, of = described.sql_name, (described.schema, described.name), f"the publication {quoted(self.name)}"
        if name not in self.columns:
            return Trouble(f"the table {where} is not in {of}: its changes are not seen", _SETUP, loses=True)
        if self.left_out:
            return Trouble(f"{of} leaves out every {' and '.join(self.left_out)}", _SETUP, loses=True)
        if name in self.filtered:
            return Trouble(f"{of} shows some rows of {where} only", _SETUP, loses=True)
        columns = self.columns[name]
        hidden = [] if columns is None else stored_columns(table, described) - columns
        if hidden:
            first = min(hidden)
            return Trouble(
                f"{of} does not show the column {first!r} of {where}", "run `bothways setup`, which mends it"
            )
        return None


def stored_columns(table: TableMap, described: TableDescription) -> frozenset[str]:
    """The mapped columns that the WAL can show: those that are there, and are not computed by the database."""
    wanted = {*table.columns, *described.key}
    return frozenset(name for name in wanted & set(described.columns) if not described.columns[name].computed)


async def published(connection: Connection, name: str) -> Published:
    """What the publication shows now. Raises ``SourceLost`` where there is none of that name."""
    row = await (await connection.execute(_PUBLICATION, [name])).fetchone()
    if row is None:
        raise SourceLost(
            f"the publication {name} does not exist: the server does not know what to send",
            hint="run `bothways setup`, which makes it, then `bothways backfill`, which finds what was missed",
        )
    columns: dict[tuple[str, str], frozenset[str] | None] = {}
    filtered = set()
    for schema, table, names, condition in await (await connection.execute(_TABLES, [name])).fetchall():
        columns[schema, table] = None if names is None else frozenset(names)
        if condition is not None:
            filtered.add((schema, table))
    return Published(name, row[0], columns, frozenset(filtered))


async def refuse_outbox(url: str) -> None:
    """Raise ``SourceLost`` where changes go to an outbox, too: nobody may see them twice."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=10) as connection:
        cursor = await connection.execute("SELECT FROM pg_class WHERE oid = to_regclass('bothways.outbox')")
        if await cursor.fetchone() is not None:
            raise SourceLost(
                "changes are captured by triggers in this database, not from the WAL",
                hint="run `bothways setup`, which changes the way of capture to what the settings say",
            )


@dataclass(frozen=True, slots=True)
class Triggered:
    """What triggers show: a ``Coverage``."""

    tables: frozenset[int]
    """By object id."""

    def trouble(self, table: TableMap, described: TableDescription) -> Trouble | None:  # noqa: ARG002 - a protocol's
        if described.oid in self.tables:
            return None
        where = described.sql_name
        return Trouble(f"the table {where} lacks the triggers that tell of its changes", _SETUP, loses=True)


async def triggered(connection: Connection) -> Triggered:
    """What triggers show now."""
    return Triggered(frozenset(row[0] for row in await (await connection.execute(COVERED)).fetchall()))


# What only some versions have is asked for by way of JSON.
_PUBLICATION = """
SELECT array_remove(ARRAY[
  CASE WHEN NOT pubinsert THEN 'insert' END, CASE WHEN NOT pubupdate THEN 'update' END,
  CASE WHEN NOT pubdelete THEN 'delete' END, CASE WHEN NOT pubtruncate THEN 'truncate' END
], NULL)
FROM pg_publication WHERE pubname = %s
"""
_TABLES = """
SELECT t.schemaname::text, t.tablename::text,
       (SELECT array_agg(e) FROM jsonb_array_elements_text(j->'attnames') e),
       j->>'rowfilter'
FROM pg_publication_tables t, LATERAL to_jsonb(t) j WHERE t.pubname = %s
"""
