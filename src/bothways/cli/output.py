"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
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


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """A table, or what is said when there are no rows. Into a pipe it is as wide as it needs to be."""
    if not rows:
        typer.echo(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    shown = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        shown.add_row(*(text(value) for value in row))
    is_terminal = sys.stdout.isatty()
    console = Console(highlight=False, markup=False, width=None if is_terminal else WIDE)
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
