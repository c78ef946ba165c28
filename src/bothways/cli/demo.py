"""``bothways demo``: the first two minutes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from bothways.cli import exits


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Keep settings and logs in this new folder; a temporary one unless given.")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End after the last step, also in a terminal.")] = False,
    patience: Annotated[float, typer.Option(min=1, help="Seconds that a change may take to arrive.")] = 20.0,
) -> None:
    """See a PostgreSQL and Stripe kept in step, both ways. Needs no account and no settings, and leaves nothing behind.

    Stays up until Ctrl-C, to be tried by hand; without a terminal it ends by itself. The exit code is 0 only if every
    step was seen to happen.
    """
    from bothways.demo.run import run
    from bothways.demo.screen import Screen

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # marks that the terminal does not know are no reason to stop
    wait = sys.stdout.isatty() and not no_wait
    if not run(folder, wait=wait, patience_seconds=patience, screen=Screen()):
        raise typer.Exit(exits.FAILED)
