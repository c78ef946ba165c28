"""Exit codes, which scripts can rely on; documented in docs/cli.md."""

from __future__ import annotations

from bothways.model.errors import BothwaysError, NoSuchRecord, SettingsError, Transient, UnknownEntity

OK = 0
FAILED = 1
"""It did not work, and will not by itself."""
USAGE = 2
"""The command line or the settings are wrong; nothing was done."""
NOT_YET = 3
"""Something does not answer or is not ready: the same command may work later."""
MISSING = 4
"""There is no such record or dead letter."""
INTERRUPTED = 130
"""Ctrl-C."""


def of_error(error: BothwaysError) -> int:
    """The exit code that an error stands for."""
    match error:
        case SettingsError() | UnknownEntity():
            return USAGE
        case Transient():
            return NOT_YET
        case NoSuchRecord():
            return MISSING
    return FAILED
