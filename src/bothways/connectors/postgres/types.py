"""A column's type as the stream and the server's catalogue describe it together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from bothways.connectors.postgres.pgoutput import RelationColumn
from bothways.connectors.postgres.values import ValueType


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type, domains looked through."""

    oid: int
    element: int = 0
    """The object id of an array's elements' type; 0 where it is no array."""
    modifier: int = -1
    """Length, precision, scale: in each type's own way; -1 where there is none. An array's holds for its elements."""
    labels: tuple[str, ...] = ()
    """What an enumeration, or an array of one, allows."""

    @property
    def value(self) -> ValueType:
        """How its texts are read."""
        return ValueType.of(self.oid, self.element)

    @property
    def of_elements(self) -> ColumnType:
        """The type of an array's elements."""
        return ColumnType(self.element, 0, self.modifier, self.labels)


async def column_types(
    connection: psycopg.AsyncConnection[Any], columns: Sequence[RelationColumn]
) -> Mapping[str, ColumnType]:
    """The types of a relation's columns, by the columns' names."""
    cursor = await connection.execute(_TYPES, [sorted({column.type for column in columns})])
    found = {
        of: ColumnType(base, element, modifier, tuple(labels))
        for of, base, element, modifier, labels in await cursor.fetchall()
    }
    types: dict[str, ColumnType] = {}
    for column in columns:
        seen = found.get(column.type, ColumnType(column.type))  # a type that is gone since: its text
        types[column.name] = seen if column.modifier < 0 else replace(seen, modifier=column.modifier)
    return types


_TYPES = """
WITH RECURSIVE base AS (
  SELECT t.oid AS of, t.oid, t.typtype, t.typbasetype, t.typelem, t.typtypmod
  FROM pg_type t WHERE t.oid = ANY(%s::oid[])
  UNION ALL
  SELECT b.of, t.oid, t.typtype, t.typbasetype, t.typelem,
         CASE WHEN t.typtype = 'd' AND b.typtypmod < 0 THEN t.typtypmod ELSE b.typtypmod END
  FROM base b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd'
)
SELECT b.of::bigint, b.oid::bigint, coalesce(e.oid::bigint, 0), b.typtypmod,
       ARRAY(SELECT l.enumlabel::text FROM pg_enum l WHERE l.enumtypid IN (b.oid, e.oid) ORDER BY l.enumsortorder)
FROM base b LEFT JOIN pg_type e ON e.oid = b.typelem AND e.typarray = b.oid WHERE b.typtype <> 'd'
"""
