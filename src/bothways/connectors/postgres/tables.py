"""What the user's tables look like: asked from PostgreSQL's own catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bothways.connectors.postgres.values import ValueType
from bothways.model.errors import MappingBroken
from bothways.sync.mapping import TableMap


class Identity(Enum):
    """What the WAL says of the old row of an UPDATE or DELETE."""

    DEFAULT = "d"
    """The primary key."""
    NOTHING = "n"
    FULL = "f"
    INDEX = "i"


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    type_name: str
    """As people write it: ``character varying(40)``."""
    cast: str
    """The type without its length, as SQL: a cast to it cuts nothing off."""
    type: ValueType
    nullable: bool
    has_default: bool
    """A default, an identity or a generated value: an insert need not name it."""
    generated: bool
    """The database alone writes it: ``GENERATED ALWAYS``, as an expression or as identity."""
    computed: bool
    """It is an expression of other columns; only from PostgreSQL 18 on can the WAL show it, if it is stored."""
    textual: bool
    """Any text is a value of this type (but for its length)."""
    length: int | None
    """How many characters fit, where the type says so."""

    @property
    def sql_name(self) -> str:
        """The name, quoted."""
        return quoted(self.name)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint that a row may break, and the columns that it looks at."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableDescription:
    """One mapped table."""

    entity: str
    oid: int
    """What names it as long as it exists, whatever it is called."""
    schema: str
    name: str
    columns: Mapping[str, Column]
    """All of them, in the table's order."""
    key: tuple[str, ...]
    """The primary key's columns in the key's order; empty where there is none."""
    identity: Identity
    identity_columns: tuple[str, ...]
    """The columns that the WAL shows of a deleted row; empty where ``identity`` is nothing or full."""
    constraints: Mapping[str, Constraint] = field(repr=False)
    has_after_triggers: bool
    """The application's own triggers may change a row after it was written."""
    has_deferred: bool
    """Some constraints are checked at the commit unless they are told otherwise."""

    @property
    def sql_name(self) -> str:
        """Schema and name, quoted."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def column(self, name: str) -> Column:
        """The column of that name; raises ``MappingBroken``."""
        found = self.columns.get(name)
        if found is None:
            raise MappingBroken(
                f"the table {self.schema}.{self.name} has no column {name!r}, which the entity {self.entity!r} maps",
                hint="put the column back, or take it out of the settings",
                entity=self.entity,
            )
        return found


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


async def describe(connection: psycopg.AsyncConnection[Any], table: TableMap) -> TableDescription | None:
    """The table as it is now; None where there is none of that name (or it is a view, or in no visible schema)."""
    schema, _, name = table.table.rpartition(".")
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_DESCRIPTION, {"schema": schema or None, "name": name})
        found = await cursor.fetchone()
    return None if found is None else _description(table.entity, found)


def _description(entity: str, table: dict[str, Any]) -> TableDescription:
    columns, constraints = table["columns"], table["constraints"]
    named = {each["number"]: each["name"] for each in columns}
    key = tuple(named[number] for number in table["key"] or ())
    identity = Identity(table["identity"])
    of_index = tuple(named[number] for number in table["identity_index"] or ())
    return TableDescription(
        entity=entity,
        oid=table["oid"],
        schema=table["schema"],
        name=table["name"],
        columns={each["name"]: _column(each) for each in columns},
        key=key,
        identity=identity,
        identity_columns=key if identity is Identity.DEFAULT else of_index,
        constraints={
            each["name"]: Constraint(each["name"], tuple(named[number] for number in each["columns"] or ()))
            for each in constraints
        },
        has_after_triggers=table["has_after_triggers"],
        has_deferred=any(each["deferred"] for each in constraints),
    )


def _column(row: dict[str, Any]) -> Column:
    return Column(
        name=row["name"],
        type_name=row["type_name"],
        cast=row["cast_name"],
        type=ValueType.of(row["base"], row["element"] or 0),
        nullable=not row["not_null"],
        has_default=row["has_default"] or row["identity"] != "" or row["generated"] != "",
        generated=row["identity"] == "a" or row["generated"] != "",
        computed=row["generated"] != "",
        textual=row["category"] == "S",
        length=row["typmod"] - 4 if row["base"] in _WITH_LENGTH and row["typmod"] > 4 else None,
    )


_WITH_LENGTH = (1042, 1043)
"""``character`` and ``character varying``; the modifier is the length and 4."""

_TABLE = """
SELECT c.oid::bigint, n.nspname::text AS schema, c.relname::text AS name, c.relreplident::text AS identity,
       (SELECT i.indkey::int2[]::int[] FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate)
         AS key,
       (SELECT i.indkey::int2[]::int[] FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident) AS identity_index,
       EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
               AND t.tgtype & 66 = 0 AND t.tgtype & 20 <> 0
               AND t.tgname NOT LIKE '!bothways%%') AS has_after_triggers
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %(name)s AND c.relkind IN ('r', 'p')
  AND (n.nspname = %(schema)s OR %(schema)s::text IS NULL AND pg_table_is_visible(c.oid))
"""
# A trigger's type is a set of bits: 2 before, 64 instead of, 4 insert, 16 update.

_COLUMNS = """
WITH RECURSIVE base AS (
  SELECT a.attnum, y.oid, y.typtype, y.typbasetype, y.typcategory, y.typelem, a.atttypmod AS typmod, y.typtypmod
  FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid WHERE a.attrelid = t.oid AND a.attnum > 0
  UNION ALL
  SELECT b.attnum, y.oid, y.typtype, y.typbasetype, y.typcategory, y.typelem, b.typtypmod, y.typtypmod
  FROM base b JOIN pg_type y ON y.oid = b.typbasetype WHERE b.typtype = 'd'
)
SELECT a.attnum::int AS number, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type_name,
       format_type(a.atttypid, -1) AS cast_name, b.oid::bigint AS base, b.typcategory::text AS category,
       (SELECT e.oid::bigint FROM pg_type e WHERE e.oid = b.typelem AND e.typarray = b.oid) AS element,
       a.attnotnull AS not_null, a.atthasdef AS has_default, a.attidentity::text AS identity,
       a.attgenerated::text AS generated, b.typmod
FROM pg_attribute a JOIN base b ON b.attnum = a.attnum AND b.typtype <> 'd'
WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

_CONSTRAINTS = """
SELECT conname::text AS name, conkey::int[] AS columns, condeferred AS deferred
FROM pg_constraint WHERE conrelid = t.oid
"""

_DESCRIPTION = f"""
SELECT t.*,
       (SELECT coalesce(json_agg(a), '[]') FROM ({_COLUMNS}) a) AS columns,
       (SELECT coalesce(json_agg(a), '[]') FROM ({_CONSTRAINTS}) a) AS constraints
FROM ({_TABLE}) t
"""  # noqa: S608 - every part of it stands above
# One statement, so one moment: a table may be altered or dropped between two.
