"""The relations that the stream names, matched with the mapped tables."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import psycopg
import structlog

from bothways.connectors.postgres.envelope import Place, Table
from bothways.connectors.postgres.pgoutput import Relation
from bothways.connectors.postgres.shapes import shape
from bothways.connectors.postgres.tables import TableDescription, describe
from bothways.connectors.postgres.types import column_types
from bothways.connectors.postgres.wholeness import Cover, Coverage, Trouble, trouble_of
from bothways.eventlog.form import Form
from bothways.sync.mapping import TableMap

_logger = structlog.get_logger(__name__)


Missed = Callable[[Collection[str]], Awaitable[None]]
"""Told the entities of which changes were not seen, and will not be: both sides have to be compared."""


async def nobody(entities: Collection[str]) -> None:
    """Nobody keeps a note of what was missed: a ``Missed``."""


class Relations:
    """Knows which relation is whose table. One per capture.

    A table that is not as the settings say is a trouble of its entity, not an error: the others go on, and of what the
    stream still shows of it nothing is left out. A table is known by what PostgreSQL numbers it, so that one that was
    renamed is still the entity's until another has taken its name.
    """

    def __init__(
        self, url: str, tables: Sequence[TableMap], cover: Cover, name: str, missed: Missed, form: Form | None = None
    ) -> None:
        """``cover`` says whether changes of the tables come; ``name`` is Debezium's of the server."""
        self._url = url
        self._maps = tables
        self._cover = cover
        self._name = name
        self._form = form or Form()
        self._missed = missed
        self._database = ""
        self._alone = asyncio.Lock()
        self._known: dict[str, TableDescription] = {}
        """Entity → its table when it was last seen with a primary key."""
        self._losing: set[str] = set()
        """Entities of which changes are not seen; said so to ``missed``."""
        self.troubles: dict[str, Trouble] = {}
        """Entity → what is wrong with its table."""

    async def look(self) -> None:
        """See how the tables are. Raises ``SourceLost`` where nothing of them can be seen."""
        async with self._alone, await self._connect() as connection:
            (self._database,) = await (await connection.execute("SELECT current_database()::text")).fetchone() or ("",)
            coverage = await self._cover(connection)
            found = [(table, await describe(connection, table)) for table in self._maps]
            await self._tell(self._judged(found, coverage))

    def _judged(
        self, found: Sequence[tuple[TableMap, TableDescription | None]], coverage: Coverage
    ) -> dict[str, Trouble]:
        troubles = {}
        for table, described in found:
            if described is not None and described.key:
                self._known[table.entity] = described
            trouble = trouble_of(table, described, coverage)
            if trouble is not None:
                troubles[table.entity] = trouble
        return troubles

    async def wal_end(self) -> int:
        """Up to where the server's WAL is safe on disk."""
        async with await self._connect() as connection:
            cursor = await connection.execute(_WAL_END)
            (found,) = await cursor.fetchone() or (0,)
        return int(found)

    async def table_for(self, relation: Relation) -> Table | None:
        """The table as the stream will show it; None for one that is not mapped, or whose rows have no key."""
        table = self._whose(relation)
        if table is None:
            return None
        async with self._alone:
            return await self._shown(table, relation)

    async def _shown(self, table: TableMap, relation: Relation) -> Table | None:
        async with await self._connect() as connection:
            described = await describe(connection, table)
            types = await column_types(connection, relation.columns)
        known = self._known[table.entity]
        if described is not None and described.key:
            known = self._known[table.entity] = described
        key = _key(relation, known)
        if key is None:
            trouble = Trouble(
                f"the rows of {known.sql_name} come without the primary key ({', '.join(known.key)})",
                f"ALTER TABLE {known.sql_name} REPLICA IDENTITY DEFAULT; then run `bothways backfill`",
                loses=True,
            )
            await self._tell({**self.troubles, table.entity: trouble})
            return None
        place = Place(self._name, self._database, known.schema, known.name)
        return Table(table.topic, place, shape(place, types, key, self._form), self._form)

    def _whose(self, relation: Relation) -> TableMap | None:
        by_name = None
        for table in self._maps:
            known = self._known.get(table.entity)
            if known is not None and known.oid == relation.oid:
                return table
            if known is not None and (known.schema, known.name) == (relation.schema, relation.name):
                by_name = table  # the stream may show a time before the table was made anew
        return by_name

    async def _tell(self, troubles: dict[str, Trouble]) -> None:
        """Say what has changed; a loss also when it is over, since it went on until then."""
        for entity, trouble in troubles.items():
            if self.troubles.get(entity) != trouble:
                _logger.error("capture.trouble", entity=entity, reason=str(trouble))
        for entity in self.troubles.keys() - troubles.keys():
            _logger.info("capture.trouble_over", entity=entity)
        self.troubles = troubles
        losing = {entity for entity, trouble in troubles.items() if trouble.loses}
        if losing != self._losing:
            await self._missed(sorted(losing ^ self._losing))
            self._losing = losing

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=10)


def _key(relation: Relation, described: TableDescription) -> tuple[int, ...] | None:
    """Where the primary key's columns are in the stream's rows, in the key's order; None where they are not."""
    place = {column.name: n for n, column in enumerate(relation.columns)}
    if all(name in place for name in described.key):
        return tuple(place[name] for name in described.key)
    # The stream shows a time before (or after) a key column was renamed: the same columns under other names, in the
    # table's order.
    flagged = [n for n, column in enumerate(relation.columns) if column.identifies]
    if relation.identity != "d" or len(flagged) != len(described.key):
        return None
    in_table_order = sorted(described.key, key=list(described.columns).index)
    return tuple(flagged[in_table_order.index(name)] for name in described.key)


_WAL_END = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn
"""
