"""The log in an SQLite file: for one machine, with nothing to install."""

from bothways.eventlog.sqlite.cleaner import Cleaning
from bothways.eventlog.sqlite.log import SqliteLog

__all__ = ["Cleaning", "SqliteLog"]
