"""``bothways setup`` and ``bothways teardown``: what the sync keeps in the database and on the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli import output
from bothways.cli.context import AsJson, run

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
    if not yes:
        typer.confirm(
            "This forgets which row is which object, and every event seen. Records stay. Go on?", abort=True, err=True
        )

    async def work(settings: Settings) -> list[str]:
        from bothways.wiring.installing import tear_down

        return await tear_down(settings)

    _show(run(context, work), as_json, nothing="There was nothing to take away.")


def _show(done: list[str], as_json: bool, *, nothing: str) -> None:
    if as_json:
        output.as_json({"done": done})
        return
    for line in done or [nothing]:
        typer.echo(line)
