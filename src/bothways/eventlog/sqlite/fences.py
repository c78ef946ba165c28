"""Who may append under a name: whoever took it last. Every function runs inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from bothways.model.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Held:
    """A name, and how often it had been taken when its holder took it."""

    name: str
    epoch: int


def take(connection: sqlite3.Connection, name: str) -> int:
    """Shut out whoever had it; the new epoch."""
    row = connection.execute(
        "insert into fences values (?, 1) on conflict (name) do update set epoch = epoch + 1 returning epoch", (name,)
    ).fetchone()
    return int(row[0])


def check(connection: sqlite3.Connection, held: Held) -> None:
    """Raises ``Unavailable`` for one that was shut out."""
    row = connection.execute("select epoch from fences where name = ?", (held.name,)).fetchone()
    if row is None or row[0] != held.epoch:
        raise Unavailable(f"another process appends as {held.name} now")
