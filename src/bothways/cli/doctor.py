"""``bothways doctor``: is everything as it has to be?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from bothways.cli import exits, output
from bothways.cli.context import AsJson, invocation

if TYPE_CHECKING:
    from bothways.model.finding import Finding

COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "fault": typer.colors.RED}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Look at every prerequisite and say what mends what is missing. Changes nothing; exit code 1 for any fault."""
    from bothways.wiring.doctor import examine, read

    asked = invocation(context)
    settings, found = read(asked.config, asked.log_level)
    findings = [*found, *(asyncio.run(examine(settings)) if settings is not None else ())]
    if as_json:
        output.as_json([asdict(each) for each in findings])
    else:
        _show(findings)
    if any(each.grade == "fault" for each in findings):
        raise typer.Exit(exits.FAILED)


def _show(findings: Sequence[Finding]) -> None:
    """A line each, and below it what mends it."""
    for each in findings:
        grade = typer.style(f"{each.grade:<7}", fg=COLOURS[each.grade])
        typer.echo(f"{grade}  {each.what}: {each.found}")
        if each.mend:
            typer.echo(f"         -> {each.mend}")
    counts = {grade: sum(each.grade == grade for each in findings) for grade in COLOURS}
    typer.echo(f"\n{counts['ok']} ok, {counts['warning']} warnings, {counts['fault']} faults")
