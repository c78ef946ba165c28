"""About how many rows there are: for estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.store import driver_of

COUNTED_BELOW = 1_000_000
"""A table that the server takes for smaller is counted."""


async def row_counts(catalogue: PostgresCatalogue, entities: Sequence[str]) -> Mapping[str, int]:
    """Rows of each entity's table, those that take no part too."""
    counts: dict[str, int] = {}
    for entity in entities:
        async with catalogue.store.session() as connection:
            driver = await driver_of(connection)
            name = (await catalogue.tables.mapped(driver, entity)).table.sql_name
            cursor = await driver.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [name])
            row: tuple[Any, ...] | None = await cursor.fetchone()
            if row is None or row[0] < COUNTED_BELOW:
                cursor = await driver.execute(f"SELECT count(*) FROM {name}".encode())  # noqa: S608 - a quoted name
                row = await cursor.fetchone()
        counts[entity] = int(row[0]) if row else 0
    return counts
