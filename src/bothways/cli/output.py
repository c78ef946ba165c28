"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import typer

WIDE = 10_000
"""Columns of a pipe: nothing in it is cut off."""


def as_json(data: object) -> None:
    """One JSON document, indented, in the order given."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def as_line(data: object) -> None:
    """One JSON document on one line: for commands that go on printing."""
    typer.echo(json.dumps(data, separators=(",", ":"), ensure_ascii=False, default=str))


PADDING = 3
"""Columns between two cells, at most."""
LEAST = 16
"""Columns that a cell which may be broken into lines has at least."""


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str, whole: Collection[str] | None = None
) -> None:
    """A table, or what is said when there are no rows. Nothing is cut off.

    Into a pipe it is as wide as it needs to be. On a terminal cells are broken into lines, but for those of the
    columns ``whole`` (the first unless given), which people copy: for them it may get wider than the terminal.
    """
    if not rows:
        typer.echo(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    cells = [[text(value) for value in row] for row in rows]
    needed = [
        max(cell_len(line) for cell in column for line in cell.splitlines() or [""])
        for column in zip(columns, *cells, strict=True)
    ]
    unbroken = columns[:1] if whole is None else whole
    least = [width if name in unbroken else min(width, LEAST) for name, width in zip(columns, needed, strict=True)]
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        shown.add_column(name, overflow="fold", no_wrap=name in unbroken)
    for row in cells:
        shown.add_row(*row)
    console = Console(highlight=False, markup=False)
    between = PADDING * len(columns)
    if sys.stdout.isatty():
        console.width = max(console.width, sum(least) + between)
    else:
        console.width = max(WIDE, sum(needed) + between)
    console.print(shown, crop=False)


def pairs(values: Mapping[str, object]) -> None:
    """One name and value a line."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        typer.echo(f"{name:<{width}}  {text(value)}")


def text(value: object) -> str:
    """A value as people read it: text as it is, everything else as JSON, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def moment(unix_seconds: float | None) -> str:
    """A time in UTC; empty for none."""
    if unix_seconds is None:
        return ""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
