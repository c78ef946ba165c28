"""What PostgreSQL's errors mean to the sync, by SQLSTATE (PostgreSQL's manual, appendix A)."""

from __future__ import annotations

import re

import psycopg
import sqlalchemy.exc

from bothways.model.errors import BothwaysError, Busy, Forbidden, MappingBroken, NotUnique, RowRefused, SettingsError

_BUSY = frozenset(
    {
        "40001",  # serialization failure
        "40P01",  # deadlock
        "55P03",  # lock time-out
        "55006",  # object in use
        "57014",  # statement time-out
        "25P03",  # idle in transaction time-out
        "25P04",  # transaction time-out
        "25006",  # read only: a standby before it is promoted
        "42804",  # a column has another type than it had
        "0A000",  # "cached plan must not change result type": the table was altered
    }
)
_BUSY_CLASSES = frozenset({"08", "53", "57", "58"})
"""Connections, resources, an operator's hand, the system."""
_MAPPING = frozenset({"42703", "42P01", "42704", "3F000"})
"""No such column, table, type, schema."""
_ROW_CLASSES = frozenset({"22", "23", "44", "P0"})
"""The data, a constraint, a view's check option, the application's own trigger."""
_NO_DATABASE = re.compile(r'database ".*" does not exist')
_NO_LOGIN = re.compile(r'role ".*" does not exist|authentication failed|no pg_hba\.conf entry|no password supplied')
_DENIED = re.compile(r"permission denied for (table|schema|sequence|database) (.+)")
_PLAIN = re.compile("[a-z_][a-z0-9_]*")
_NEEDED = {
    "table": "SELECT, INSERT, UPDATE, DELETE ON",
    "schema": "USAGE ON SCHEMA",
    "sequence": "USAGE ON SEQUENCE",
    "database": "CREATE ON DATABASE",
}
_STATE_CONSTRAINTS = frozenset({"link_token", "link_remote_id"})


def transaction_error(error: BaseException) -> BothwaysError | None:
    """What ended a transaction, in our words; None where the error is not the database's, or a fault of ours.

    An error that only has one of the database's as its cause is somebody's own word, and is left alone.
    """
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return Busy("no connection to the catalogue became free", hint="raise the number of connections")
    found: object = error
    while isinstance(found, sqlalchemy.exc.DBAPIError):
        found = found.orig
    return _told(found) if isinstance(found, psycopg.Error) else None


def _told(error: psycopg.Error) -> BothwaysError | None:
    state, message = error.sqlstate or "", _message(error)
    if state[:2] == "28" or state == "42501":
        return Forbidden(
            f"the catalogue refuses the login or a permission: {message}", hint=_permission_hint(state, message)
        )
    if state == "3D000":
        return SettingsError(f"the catalogue cannot be opened: {message}", hint="name an existing database in its url")
    if is_of_mapping(error):
        return mapping_error(error)
    if state in _BUSY or state[:2] in _BUSY_CLASSES:
        return Busy(message)
    if error.diag.constraint_name in _STATE_CONSTRAINTS:
        return Busy("another transaction linked the same object a moment ago")
    if not state and isinstance(error, psycopg.OperationalError):
        return _not_connected(message)
    return row_error(error)


def is_of_mapping(error: psycopg.Error) -> bool:
    """A statement of ours names what is not there any more; one of the application's own functions may do so, too."""
    return error.sqlstate in _MAPPING and not error.diag.context


def mapping_error(error: psycopg.Error, entity: str | None = None) -> MappingBroken:
    """The same in our words."""
    hint = "put it back, change the settings, or run `bothways setup`"
    return MappingBroken(_message(error), hint=hint, entity=entity)


def _not_connected(message: str) -> BothwaysError:
    """libpq gives no SQLSTATE where no connection was made, only the server's words."""
    if _NO_DATABASE.search(message):
        return SettingsError(f"the catalogue cannot be opened: {message}", hint="name an existing database in its url")
    if _NO_LOGIN.search(message):
        return Forbidden(f"the catalogue refuses the login: {message}", hint=_permission_hint("28000"))
    why = message.removeprefix("connection failed: ")
    hint = "see that the server runs and can be reached, and look at url in [catalogue]"
    return Busy(f"the connection to the catalogue is lost or was not made: {why}", hint=hint)


def row_error(error: psycopg.Error, field: str | None = None) -> RowRefused | NotUnique | None:
    """Why a row was refused; None where the error says something else than that."""
    state = error.sqlstate or ""
    if state == "23505":
        name = error.diag.constraint_name or ""
        return NotUnique(_message(error), constraint=name, hint=error.diag.message_detail or "")
    if state[:2] in _ROW_CLASSES or (state in _MAPPING and error.diag.context):
        return RowRefused(_message(error), field=field or error.diag.column_name, hint=_row_hint(error))
    if not state and isinstance(error, psycopg.DataError):
        return RowRefused(_message(error), field=field)
    return None


def _message(error: psycopg.Error) -> str:
    return error.diag.message_primary or " ".join(str(error).split())  # libpq's own words have several lines


def _permission_hint(state: str, message: str = "") -> str:
    """The statement that mends it, where the server's words (in English) say what it is about."""
    if denied := _DENIED.fullmatch(message):
        name = denied[2] if _PLAIN.fullmatch(denied[2]) else '"' + denied[2].replace('"', '""') + '"'
        return f"GRANT {_NEEDED[denied[1]]} {name} TO …; with the user of the catalogue's url"
    if state == "42501":
        return "GRANT what is missing to the user of the catalogue's url, or run `bothways setup`"
    return "look at the user and the password in the catalogue's url"


def _row_hint(error: psycopg.Error) -> str:
    state, diag = error.sqlstate or "", error.diag
    if state == "23503":
        return (
            diag.message_detail or "a foreign key points to a row that is not there, or another row points to this one"
        )
    if state == "23502":
        return f"give the column {diag.column_name} a value, or a default in the table"
    if state in {"23514", "23P01"}:
        return f"the constraint {diag.constraint_name} of the table says so; change the value or the constraint"
    if state[:2] == "P0" or state in _MAPPING:
        return diag.message_hint or "a trigger of the table says so"
    return diag.message_hint or "change the value, or the column's type"
