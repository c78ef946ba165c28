"""What the user of the catalogue's url must be allowed to make; each refusal is the statement that allows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from bothways.connectors.postgres.tables import TableDescription
from bothways.model.errors import SettingsError
from bothways.state.tables import SCHEMA

Connection = psycopg.AsyncConnection[Any]


async def check_rights(connection: Connection, publication: str, added: Sequence[TableDescription]) -> None:
    """The user may make what is missing of schema and publication, and publish ``added``, which is not in it yet.

    What is there already needs no right to make it: an administrator may have done that. Raises ``SettingsError``.
    """
    cursor = await connection.execute(_DATABASE, {"schema": SCHEMA, "publication": publication})
    row = await cursor.fetchone()
    assert row is not None
    database, user, makes, may_create, owns_publication, quoted_publication = row
    if makes and not may_create:
        raise SettingsError(
            f"the user {user} may not make a schema and a publication in the database {database}",
            hint=f"GRANT CREATE ON DATABASE {database} TO {user};",
        )
    if added and not owns_publication:
        raise SettingsError(
            f"the publication {quoted_publication} belongs to somebody else, who alone may add tables to it",
            hint=f"ALTER PUBLICATION {quoted_publication} OWNER TO {user};",
        )
    for table in added:
        cursor = await connection.execute(_TABLE, [table.sql_name])
        row = await cursor.fetchone()
        if row is not None:
            name, owner = row
            raise SettingsError(
                f"[entities.{table.entity}]: the table {name} belongs to {owner}, and only its owner may publish it",
                hint=f"ALTER TABLE {name} OWNER TO {user};",
            )


async def check_trigger_rights(connection: Connection, added: Sequence[TableDescription]) -> None:
    """The user may make the schema, if it is missing, and triggers on ``added``. Raises ``SettingsError``."""
    cursor = await connection.execute(_SCHEMA, {"schema": SCHEMA})
    row = await cursor.fetchone()
    assert row is not None
    database, user, may_create = row
    if not may_create:
        raise SettingsError(
            f"the user {user} may not make the schema {SCHEMA} in the database {database}, or tables in it",
            hint=f"GRANT CREATE ON DATABASE {database} TO {user};",
        )
    for table in added:
        cursor = await connection.execute("SELECT has_table_privilege(%s, 'TRIGGER')", [table.sql_name])
        row = await cursor.fetchone()
        if row is not None and not row[0]:
            raise SettingsError(
                f"[entities.{table.entity}]: the user {user} may not make triggers on {table.sql_name}",
                hint=f"GRANT TRIGGER ON {table.sql_name} TO {user};",
            )


_SCHEMA = """
SELECT quote_ident(current_database()), quote_ident(current_user),
       coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %(schema)s),
                has_database_privilege(current_database(), 'CREATE'))
"""

_DATABASE = """
SELECT quote_ident(current_database()), quote_ident(current_user),
       NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(schema)s)
       OR NOT EXISTS (SELECT FROM pg_publication WHERE pubname = %(publication)s),
       has_database_privilege(current_database(), 'CREATE'),
       coalesce((SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = %(publication)s), true),
       quote_ident(%(publication)s)
"""

_TABLE = """
SELECT c.oid::regclass::text, quote_ident(pg_get_userbyid(c.relowner))
FROM pg_class c WHERE c.oid = to_regclass(%s) AND NOT pg_has_role(c.relowner, 'USAGE')
"""
