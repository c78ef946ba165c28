"""What an examination found: one prerequisite, how it stands, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bothways.model.errors import BothwaysError


class Grade(StrEnum):
    """How a prerequisite stands."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should look."""
    FAULT = "fault"
    """It does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for people. Never holds a secret."""

    what: str
    """What was looked at: ``database: wal_level``."""
    grade: Grade
    found: str
    mend: str = ""
    """The statement or command that mends it, ready to be pasted, or what to do in words."""


def ok(what: str, found: str) -> Finding:
    """As it should be."""
    return Finding(what, Grade.OK, found)


def warning(what: str, found: str, mend: str) -> Finding:
    """Works, and somebody should look."""
    return Finding(what, Grade.WARNING, found, mend)


def fault(what: str, error: BothwaysError) -> Finding:
    """Does not work, in the words of the error that it would end with."""
    return Finding(what, Grade.FAULT, error.message, error.hint)
