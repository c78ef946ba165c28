"""The folder of a demo: the settings and the tables, to be read; logs; a psql that knows where to go."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bothways.demo.shop import TABLES
from bothways.model.errors import SettingsError


@contextmanager
def opened(wanted: Path | None) -> Iterator[Path]:
    """The folder: the one that is wanted, which stays, or a fresh one that is gone afterwards.

    Raises ``SettingsError`` where the wanted one cannot be made or holds something.
    """
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="bothways-demo-", ignore_cleanup_errors=True) as made:
            yield Path(made)
        return
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        holds_something = any(wanted.iterdir())
    except OSError as error:
        raise SettingsError(f"--folder {wanted}: {error.strerror}") from None
    if holds_something:
        raise SettingsError(f"--folder {wanted}: there is something in it", hint="name a new folder, or an empty one")
    yield wanted.absolute()


def write(folder: Path, settings: str, psql: Path, database: str) -> None:
    """Put in it what people may want to read or run. What holds a password is for the owner only."""
    (folder / "shop.sql").write_text(TABLES)
    _write(folder / "bothways.toml", settings, 0o600)
    lines = ("#!/bin/sh", "# This demo's own psql, on its database.", f'exec {shlex.quote(str(psql))} {database} "$@"')
    _write(folder / "psql", "\n".join(lines) + "\n", 0o700)


def _write(file: Path, text: str, mode: int) -> None:
    file.touch(mode=mode)
    file.write_text(text)
