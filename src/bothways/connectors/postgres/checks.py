"""What a server and its tables must be like; each refusal names the statement that mends it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bothways.connectors.postgres.tables import Identity, TableDescription, quoted
from bothways.model.errors import SettingsError
from bothways.sync.mapping import TableMap

OLDEST = 14
"""The oldest major version of PostgreSQL that is supported."""

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Server:
    """What is to be known of a server before it can be captured from."""

    version: int
    """As ``server_version_num``."""
    version_name: str
    wal_level: str
    username: str
    may_replicate: bool

    def check_version(self) -> None:
        """It is no older than what is supported."""
        if self.version < OLDEST * 10_000:
            raise SettingsError(
                f"the catalogue is PostgreSQL {self.version // 10_000}", hint=f"{OLDEST} is the oldest that works"
            )

    def check_wal_level(self) -> None:
        """Its WAL holds what logical replication needs."""
        if self.wal_level != "logical":
            raise SettingsError(
                f"the server's wal_level is {self.wal_level}, and its changes can be read with logical only",
                hint="ALTER SYSTEM SET wal_level = logical; then restart the server",
            )

    def check_replication(self) -> None:
        """The user may read it."""
        if not self.may_replicate:
            name = quoted(self.username)
            raise SettingsError(
                f"the user {self.username} may not read the server's changes",
                hint=f"ALTER ROLE {name} REPLICATION; (on Amazon RDS: GRANT rds_replication TO {name};)",
            )


async def read_server(connection: Connection) -> Server:
    """The server, as it is now."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SERVER)
        server = await cursor.fetchone()
    assert server is not None
    return Server(**server)


async def check_server(connection: Connection) -> None:
    """The server can be captured from, by this user."""
    server = await read_server(connection)
    server.check_version()
    server.check_wal_level()
    server.check_replication()


async def check_table(
    connection: Connection,
    table: TableMap,
    found: TableDescription | None,
    fills: Collection[str] | None,
    *,
    by_log: bool = True,
) -> None:
    """The table can be mapped as the settings say.

    ``fills``: the columns that a new remote object fills; None where remote objects make no rows. ``by_log``: the WAL
    has to show what is needed.
    """
    where = f"[entities.{table.entity}]"
    if found is None:
        raise SettingsError(
            f"{where}: there is no table {table.table!r}",
            hint="write its name as the database spells it, with its schema where it is not in the search path",
        )
    missing = sorted(table.columns - set(found.columns))
    if missing:
        raise SettingsError(
            f"{where}: the table {table.table} has no column {missing[0]!r}",
            hint=f"its columns are {', '.join(found.columns)}",
        )
    _check_key(where, found)
    if by_log:
        _check_identity(where, found)
    if fills is not None:
        _check_fillable(where, found, fills)
    await check_condition(connection, table, found)


def _check_key(where: str, found: TableDescription) -> None:
    if not found.key:
        raise SettingsError(
            f"{where}: the table {found.sql_name} has no primary key (or a deferrable one, which cannot be captured)",
            hint=f"ALTER TABLE {found.sql_name} ADD PRIMARY KEY (…);",
        )


def _check_identity(where: str, found: TableDescription) -> None:
    enough = found.identity is Identity.FULL or set(found.key) <= set(found.identity_columns)
    if not enough:
        raise SettingsError(
            f"{where}: the replica identity of {found.sql_name} does not show the primary key;"
            " once it is published, updates of it would fail or could not be told apart",
            hint=f"ALTER TABLE {found.sql_name} REPLICA IDENTITY DEFAULT;",
        )


def _check_fillable(where: str, found: TableDescription, fills: Collection[str]) -> None:
    for column in found.columns.values():
        if not column.nullable and not column.has_default and column.name not in fills:
            name = quoted(column.name)
            raise SettingsError(
                f"{where}: a record made in a remote system cannot become a row, since nothing fills the column"
                f" {column.name!r} of {found.sql_name}, which is NOT NULL and has no default",
                hint=f"ALTER TABLE {found.sql_name} ALTER COLUMN {name} SET DEFAULT …; or map the column",
            )


async def check_condition(connection: Connection, table: TableMap, found: TableDescription) -> None:
    """Raise ``SettingsError`` where ``where`` is no condition that the server takes."""
    if table.where is None:
        return
    statement = f"SELECT FROM {found.sql_name} WHERE ({table.where}) LIMIT 0"
    try:
        await connection.execute(statement.encode(), prepare=False)
    except psycopg.errors.InsufficientPrivilege:
        raise
    except psycopg.Error as error:
        message = error.diag.message_primary or str(error)
        raise SettingsError(
            f"[entities.{table.entity}]: where = {table.where!r} is no condition on {found.sql_name}: {message}"
        ) from error


_SERVER = """
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_name,
       current_setting('wal_level') AS wal_level, current_user::text AS username,
       (SELECT r.rolreplication OR r.rolsuper FROM pg_roles r WHERE r.rolname = current_user)
       OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication'
                  AND pg_has_role(current_user, r.oid, 'member')) AS may_replicate
"""
