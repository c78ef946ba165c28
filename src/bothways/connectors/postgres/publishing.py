"""The publication: made, and brought to what capture needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bothways.connectors.postgres.tables import TableDescription, quoted
from bothways.model.errors import SettingsError

Connection = psycopg.AsyncConnection[Any]

GENERATED_SINCE = 180_000
"""From this version of the server on a publication can show generated columns, those that are stored."""


Wanted = Sequence[tuple[TableDescription, frozenset[str]]]
"""Tables, and of each the columns that have to be shown."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What there is."""

    name: str
    tables: frozenset[str]
    """As SQL."""
    filtered: frozenset[str]
    """Of these it shows some rows only."""
    columns: Mapping[str, frozenset[str]]
    """Of these it shows these columns only: somebody may want the others kept off the log."""
    whole: bool
    """Every kind of change is published."""
    well_set: bool
    """So are partitions, by way of their table, and stored generated columns."""
    ours: bool
    """The user may change it; else an administrator has made it for us."""


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
    everything, whole, well_set, ours, tables = found
    if everything:
        raise SettingsError(
            f"the publication {name} is of all tables, and would show the sync its own",
            hint=f"DROP PUBLICATION {quoted(name)}; or name another one",
        )
    named = [(f"{quoted(schema)}.{quoted(table)}", rows, columns) for schema, table, rows, columns in tables]
    return Publication(
        name,
        frozenset(table for table, _, _ in named),
        frozenset(table for table, rows, _ in named if rows),
        {table: frozenset(columns) for table, _, columns in named if columns is not None},
        whole,
        well_set,
        ours,
    )


def to_be_added(found: Publication | None, tables: Wanted) -> list[TableDescription]:
    """The tables that have to be put into the publication (once more): only their owner may do that.

    Raises ``SettingsError`` where the publication leaves out changes, and is not the user's to mend.
    """
    if found is None:
        return [table for table, _ in tables]
    if not found.whole and not found.ours:
        raise SettingsError(
            f"the publication {found.name} leaves out some kinds of change, and belongs to somebody else",
            hint=f"ALTER PUBLICATION {quoted(found.name)} SET (publish = 'insert, update, delete, truncate');",
        )
    return [
        table
        for table, columns in tables
        if table.sql_name not in found.tables - found.filtered
        or not columns <= found.columns.get(table.sql_name, columns)
    ]


async def bring_up(
    connection: Connection, name: str, found: Publication | None, tables: Wanted, *, narrow: bool
) -> Brought:
    """Make the publication, or have it show all rows of these tables, and these columns. ``narrow``: and no others."""
    if found is None:
        return await _make(connection, name, [table for table, _ in tables])
    done: list[str] = []
    publication = f"PUBLICATION {quoted(name)}"
    if found.ours and not (found.whole and found.well_set):
        await connection.execute(f"ALTER {publication} SET ({_options(connection)})".encode())
        done.append(f"set what the publication {name} shows" + ("" if found.whole else ": it left out changes"))
    done += await _add(connection, publication, name, found, tables)
    wanted = {table.sql_name for table, _ in tables}
    filtered, dropped = found.filtered & wanted, sorted(found.tables - wanted)
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


async def _add(connection: Connection, publication: str, name: str, found: Publication, tables: Wanted) -> list[str]:
    done = []
    # Not SET TABLE: that wants the ownership of tables, too, which are published already.
    wanted = {table.sql_name: table for table in to_be_added(found, tables)}
    columns = {
        table.sql_name: found.columns[table.sql_name] | each for table, each in tables if _narrowed(found, table)
    }
    mended, added = sorted(wanted.keys() & found.tables), sorted(wanted.keys() - found.tables)
    for table in mended:
        listed = f" ({', '.join(map(quoted, sorted(columns[table])))})" if table in columns else ""
        async with connection.transaction():
            await connection.execute(f"ALTER {publication} DROP TABLE {table}".encode())
            await connection.execute(f"ALTER {publication} ADD TABLE {table}{listed}".encode())
        done.append(f"the publication {name} shows all rows and mapped columns now of {table}")
    if added:
        await connection.execute(f"ALTER {publication} ADD TABLE {', '.join(added)}".encode())
        done.append(f"added to the publication {name}: {', '.join(added)}")
        done += [
            f"changes that {wanted[table].name} saw before this are not on the log:"
            f" run `bothways backfill {wanted[table].entity} --again`"
            for table in added
        ]
    return done


def _narrowed(found: Publication, table: TableDescription) -> bool:
    return table.sql_name in found.columns


def _options(connection: Connection) -> str:
    generated = ", publish_generated_columns = stored" if connection.info.server_version >= GENERATED_SINCE else ""
    return f"publish = 'insert, update, delete, truncate', publish_via_partition_root = true{generated}"


# What only some versions have is asked for by way of JSON.
_PUBLICATION = """
SELECT p.puballtables, p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate,
       p.pubviaroot AND coalesce(to_jsonb(p)->>'pubgencols', 's') = 's', pg_has_role(p.pubowner, 'USAGE'),
       (SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname, to_jsonb(r)->>'prqual' IS NOT NULL,
                                                  (SELECT json_agg(a.attname) FROM pg_attribute a
                                                   WHERE a.attrelid = r.prrelid
                                                     AND to_jsonb(r)->'prattrs' @> to_jsonb(a.attnum)))), '[]')
        FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE r.prpubid = p.oid)
FROM pg_publication p WHERE p.pubname = %(name)s
"""
