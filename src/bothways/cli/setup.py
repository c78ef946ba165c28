"""``bothways setup`` and ``bothways teardown``: what the sync keeps in the database and on the log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli import output
from bothways.cli.context import AsJson, run
from bothways.model.errors import SettingsError

if TYPE_CHECKING:
    from bothways.config import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("setup")(setup)
    app.command("teardown")(teardown)


def setup(context: typer.Context, as_json: AsJson = False) -> None:
    """Make the state's tables, the publication, the slot and the topics. Repeatable; refuses what cannot work."""

    async def work(settings: Settings) -> list[str]:
        from bothways.wiring.installing import set_up

        return await set_up(settings)

    _show(run(context, work), as_json, nothing="Everything was there already.")


def teardown(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take away what setup made, the slot first: the links go with it. Records on either side are not touched."""
    if not (yes or _agreed()):
        raise typer.Abort

    async def work(settings: Settings) -> list[str]:
        from bothways.wiring.installing import tear_down

        return await tear_down(settings)

    _show(run(context, work), as_json, nothing="There was nothing to take away.")


def _agreed() -> bool:
    """What the person says. Raises ``SettingsError`` where there is nobody to ask."""
    question = "This forgets which row is which object, and every event seen. Records stay. Go on?"
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise SettingsError("teardown asks first, and nobody answers here", hint="bothways teardown --yes") from None


def _show(done: list[str], as_json: bool, *, nothing: str) -> None:
    if as_json:
        output.as_json({"done": done})
        return
    for line in done or [nothing]:
        typer.echo(line)
