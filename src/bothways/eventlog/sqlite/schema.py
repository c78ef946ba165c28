"""The file: its tables, how it is opened, and what its errors mean."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from bothways.model.errors import BothwaysError, SettingsError, Unavailable

OFFSET_BITS = 40
"""A message's row id is its partition's id and, in the lower bits, its offset: one tree, no index beside it."""

APPLICATION_ID = 0x62777973  # "bwys": `file` and sqlite3 show whose database it is
VERSION = 2

PREPARE_SECONDS = 30.0
"""How long whoever opens the file waits for others that open it, close it as its last user, or mend it after a kill."""

# What is large comes last in a row: cleaning reads what stands before it, and no more.
_TABLES = """
create table topics (
  id integer primary key, name text not null unique, partitions integer not null,
  compacted integer not null, retention_ms integer);
create table partitions (
  id integer primary key, topic_id integer not null references topics, number integer not null,
  next_offset integer not null default 0, cleaned_offset integer not null default 0, unique (topic_id, number));
create table messages (
  id integer primary key, timestamp_ms integer not null, key blob, headers blob, value blob);
create table groups (name text primary key, generation integer not null) without rowid;
create table members (
  group_name text not null, member text not null, topics text not null, seen_ms integer not null,
  primary key (group_name, member)) without rowid;
create table leases (
  group_name text not null, partition_id integer not null, member text not null, epoch integer not null,
  primary key (group_name, partition_id)) without rowid;
create table offsets (
  group_name text not null, partition_id integer not null, next_offset integer not null,
  primary key (group_name, partition_id)) without rowid;
create table chores (name text primary key, done_ms integer not null) without rowid;
"""
_SINCE_2 = """
create table fences (name text primary key, epoch integer not null) without rowid;
"""


def connect(path: Path, *, wait_seconds: float) -> sqlite3.Connection:
    """Open the file, made if it is missing; ``begin`` has a wait of its own. Raises what ``translated`` says.

    Without a wait even this fails at once now and then: whoever opens a file after a kill mends it, and who closes it
    last tidies it up, and either has it for itself meanwhile.
    """
    try:
        connection = sqlite3.connect(path, timeout=wait_seconds, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    try:
        connection.execute("pragma synchronous = full")
        connection.execute("pragma wal_autocheckpoint = 2000")
        connection.execute("pragma journal_size_limit = 33554432")
        connection.execute("pragma cache_size = -8192")
    except sqlite3.Error as error:
        connection.close()
        raise translated(error, path) from error
    return connection


def begin(connection: sqlite3.Connection, wait_seconds: float) -> None:
    """Begin a transaction that holds the file's write lock. Raises SQLite's error when it was not free in time.

    We ask more often than SQLite would by itself (up to ten times a second): among processes that write all the time,
    who asks seldom comes last.
    """
    connection.execute("pragma busy_timeout = 0")
    _insist(lambda: connection.execute("begin immediate"), wait_seconds)


def prepare(path: Path) -> None:
    """Make the tables if they are missing; several processes may come here at once.

    A new file is for its owner only: it holds what the topics hold. One that has everything is only read: whoever
    starts need not wait for those that write.
    """
    with contextlib.suppress(OSError):  # whatever is wrong with the path shows when it is opened
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    connection = connect(path, wait_seconds=PREPARE_SECONDS)
    try:
        # SQLite does not wait here while another process does the same, so we do.
        if connection.execute("pragma journal_mode").fetchone()[0] != "wal":
            _insist(lambda: connection.execute("pragma journal_mode = wal"), PREPARE_SECONDS)
        if _version(connection, path) < VERSION:
            begin(connection, PREPARE_SECONDS)
            _upgrade(connection, _version(connection, path))
            connection.execute("commit")
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version > VERSION:
        raise SettingsError(f"the log {path} has format {version}, this program reads {VERSION}")
    return version


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Inside a transaction: make what a file of this version lacks; another process may have been quicker."""
    if version == VERSION:
        return
    for statement in ((_TABLES if version == 0 else "") + _SINCE_2).split(";"):
        connection.execute(statement)
    connection.execute(f"pragma application_id = {APPLICATION_ID}")
    connection.execute(f"pragma user_version = {VERSION}")


def _insist(ask: Callable[[], object], wait_seconds: float) -> None:
    """Ask again while another process has the file locked. Raises SQLite's error when the time is over."""
    deadline, pause = time.monotonic() + wait_seconds, 0.0002
    while True:
        try:
            ask()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(pause)
            pause = min(pause * 2, 0.005)
        else:
            return


def translated(error: sqlite3.Error, path: Path) -> BothwaysError:
    """What a failure of the file means for whoever asked."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return Unavailable(f"no space is left for the log {path}", hint="free some; nothing that was confirmed is lost")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable(f"another process has held the log {path} locked for long", hint="see which one hangs")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return SettingsError(f"{path} is no log of bothways, or is damaged", hint="restore it, or name another file")
    return Unavailable(f"the log {path} cannot be used: {error}", hint="check the disk and the file's permissions")
