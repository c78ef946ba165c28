"""The migrations of the state's schema, and what Alembic does with them.

Alembic is loaded only where something is to be done: every command looks whether the schema is the program's, and few
change it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from bothways.state.tables import SCHEMA

_FILE = re.compile(r"v(\d{4})_(\w+)\.py")
_FIRST = "0001"

version = Table("alembic_version", MetaData(schema=SCHEMA), Column("version_num", String(32), primary_key=True))
"""Alembic's own table: one row, the revision that the schema is at."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One migration. ``name`` is for people."""

    number: str
    name: str


@dataclass(frozen=True, slots=True)
class Revisions:
    """The migrations in a folder, in order; there is one line of them and no way back."""

    folder: Path = Path(__file__).parent / "migrations"

    def all(self) -> list[Revision]:
        """What the files' names say, which the files themselves must say too."""
        found = [match for path in sorted(self.folder.iterdir()) if (match := _FILE.fullmatch(path.name))]
        return [Revision(match[1], match[2].replace("_", " ")) for match in found]

    def after(self, number: str | None) -> list[Revision]:
        """What is still to be done; None: nothing was. Raises ``KeyError`` for a revision that is not there."""
        known = self.all()
        if number is None:
            return known
        numbers = [each.number for each in known]
        if number not in numbers:
            raise KeyError(number)
        return known[numbers.index(number) + 1 :]

    def take(self, connection: Connection, revision: Revision) -> None:
        """Do what one of them does, and note it, in the transaction that the connection is in.

        Those before it must have been taken.
        """
        from alembic.operations import Operations
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        script = ScriptDirectory(str(self.folder), version_locations=[str(self.folder)])

        def steps(heads: tuple[str, ...], _: MigrationContext) -> Any:
            return script._upgrade_revs(revision.number, heads[0] if heads else "base")  # Alembic's manual does so, too

        options = {"fn": steps, "version_table": version.name, "version_table_schema": SCHEMA}
        context = MigrationContext.configure(connection, opts=options)
        before = reached(connection)
        if before is not None and not context.get_current_heads():
            context.stamp(script, before)
        with Operations.context(context):
            context.run_migrations()


def reached(connection: Connection) -> str | None:
    """The revision that the schema is at; None where there are no tables yet.

    Programs from before there were migrations made the tables of the first revision, all in one transaction.
    """
    there = inspect(connection)
    if there.has_table(version.name, schema=SCHEMA):
        found: str | None = connection.execute(select(version.c.version_num)).scalar_one_or_none()
        return found
    return _FIRST if there.has_table("link", schema=SCHEMA) else None
