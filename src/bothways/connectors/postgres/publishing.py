"""The publication: made, and brought to what capture needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bothways.connectors.postgres.tables import TableDescription, quoted
from bothways.model.errors import SettingsError

Connection = psycopg.AsyncConnection[Any]

GENERATED_SINCE = 180_000
"""From this version of the server on a publication can show generated columns, those that are stored."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What there is."""

    tables: frozenset[str]
    """As SQL."""
    filtered: frozenset[str]
    """Of these it shows some rows only."""
    narrowed: frozenset[str]
    """Of these it shows some columns only."""
    whole: bool
    """Every kind of change is published."""
    well_set: bool
    """So are partitions, by way of their table, and stored generated columns."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What was done to a publication."""

    done: Sequence[str]
    """For people."""
    missed: bool = False
    """Until now changes were left out, and nobody will see them."""


async def look(connection: Connection, name: str) -> Publication | None:
    """The publication as it is; None where there is none. Raises ``SettingsError`` for one of all tables."""
    found = await (await connection.execute(_PUBLICATION, {"name": name})).fetchone()
    if found is None:
        return None
    everything, whole, well_set, tables = found
    if everything:
        raise SettingsError(
            f"the publication {name} is of all tables, and would show the sync its own",
            hint=f"DROP PUBLICATION {quoted(name)}; or name another one",
        )
    named = [(f"{quoted(schema)}.{quoted(table)}", rows, columns) for schema, table, rows, columns in tables]
    return Publication(
        frozenset(table for table, _, _ in named),
        frozenset(table for table, rows, _ in named if rows),
        frozenset(table for table, _, columns in named if columns),
        whole,
        well_set,
    )


def to_be_added(found: Publication | None, tables: Sequence[TableDescription]) -> list[TableDescription]:
    """The tables that have to be put into the publication (once more): only their owner may do that."""
    present = frozenset() if found is None else found.tables - found.filtered - found.narrowed
    return [table for table in tables if table.sql_name not in present]


async def bring_up(
    connection: Connection, name: str, found: Publication | None, tables: Sequence[TableDescription], *, narrow: bool
) -> Brought:
    """Make the publication, or have it show these tables whole. ``narrow``: and no others."""
    if found is None:
        return await _make(connection, name, tables)
    done: list[str] = []
    publication = f"PUBLICATION {quoted(name)}"
    if not (found.whole and found.well_set):
        await connection.execute(f"ALTER {publication} SET ({_options(connection)})".encode())
        done.append(f"set what the publication {name} shows" + ("" if found.whole else ": it left out changes"))
    done += await _add(connection, publication, name, found, tables)
    filtered = found.filtered & {table.sql_name for table in tables}
    dropped = sorted(found.tables - {table.sql_name for table in tables})
    if narrow and dropped:
        await connection.execute(f"ALTER {publication} DROP TABLE {', '.join(dropped)}".encode())
        done += [f"{table} is no longer captured: the publication {name} is not of it any more" for table in dropped]
    missed = bool(filtered) or not found.whole
    if missed:
        done.append(f"changes that the publication {name} left out are not on the log: run `bothways backfill`")
    return Brought(done, missed)


async def _make(connection: Connection, name: str, tables: Sequence[TableDescription]) -> Brought:
    listed = ", ".join(sorted({table.sql_name for table in tables}))
    for_tables = f"FOR TABLE {listed}" if listed else ""
    statement = f"CREATE PUBLICATION {quoted(name)} {for_tables} WITH ({_options(connection)})"
    await connection.execute(statement.encode())
    return Brought([f"made the publication {name} of {listed or 'no table'}"])


async def _add(
    connection: Connection, publication: str, name: str, found: Publication, tables: Sequence[TableDescription]
) -> list[str]:
    done = []
    # Not SET TABLE: that wants the ownership of tables, too, which are published already.
    wanted = {table.sql_name: table for table in to_be_added(found, tables)}
    mended, added = sorted(wanted.keys() & found.tables), sorted(wanted.keys() - found.tables)
    if mended:
        async with connection.transaction():
            for action in ("DROP", "ADD"):
                await connection.execute(f"ALTER {publication} {action} TABLE {', '.join(mended)}".encode())
        done.append(f"the publication {name} shows all rows and columns now of {', '.join(mended)}")
    if added:
        await connection.execute(f"ALTER {publication} ADD TABLE {', '.join(added)}".encode())
        done.append(f"added to the publication {name}: {', '.join(added)}")
        done += [
            f"changes that {wanted[table].name} saw before this are not on the log:"
            f" run `bothways backfill {wanted[table].entity} --again`"
            for table in added
        ]
    return done


def _options(connection: Connection) -> str:
    generated = ", publish_generated_columns = stored" if connection.info.server_version >= GENERATED_SINCE else ""
    return f"publish = 'insert, update, delete, truncate', publish_via_partition_root = true{generated}"


# What only some versions have is asked for by way of JSON.
_PUBLICATION = """
SELECT p.puballtables, p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate,
       p.pubviaroot AND coalesce(to_jsonb(p)->>'pubgencols', 's') = 's',
       (SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname, to_jsonb(r)->>'prqual' IS NOT NULL,
                                                  to_jsonb(r)->>'prattrs' IS NOT NULL)), '[]')
        FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE r.prpubid = p.oid)
FROM pg_publication p WHERE p.pubname = %(name)s
"""
