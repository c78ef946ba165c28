"""How the log's file stands."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from bothways.eventlog.sqlite.schema import begin, connect, translated
from bothways.model.errors import BothwaysError
from bothways.model.finding import Finding, Grade, fault, ok, warning

FEW_BYTES = 100 * 2**20
SOME_BYTES = 2**30


def examine(path: Path) -> list[Finding]:
    """What was found; makes nothing."""
    folder = next(each for each in path.absolute().parents if each.exists())
    if not os.access(folder, os.W_OK):
        mend = f'chown {os.getuid()} "{folder}"  # or name another [log] url, or data'
        return [Finding("log", Grade.FAULT, f"the folder {folder} cannot be written to", mend)]
    return [_file(path), _space(folder)]


def _file(path: Path) -> Finding:
    if not path.exists():
        return warning("log", f"SQLite in {path}: not made yet", "bothways setup")
    try:
        with closing(connect(path, wait_seconds=5.0)) as connection:
            begin(connection, 5.0)
            connection.execute("rollback")
            topics = connection.execute("select count(*) from topics").fetchone()[0]
    except sqlite3.Error as error:
        return fault("log", translated(error, path))
    except BothwaysError as error:
        return fault("log", error)
    return ok("log", f"SQLite in {path}, {topics} topics, {path.stat().st_size // 2**20} MB; can be written to")


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    what, found = "log: free space", f"{free // 2**20} MB free in {folder}"
    mend = "make room, or shorten [log] retention; nothing that was confirmed is lost when the disk is full"
    if free < FEW_BYTES:
        return Finding(what, Grade.FAULT, found, mend)
    return warning(what, found, mend) if free < SOME_BYTES else ok(what, found)
