"""``bothways up``: the sync itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli.context import run

if TYPE_CHECKING:
    from bothways.config import Settings

ROLES = ("receive", "deliver", "capture", "serve")
PLANNED_ROLES = ("views",)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    context: typer.Context,
    only: Annotated[
        str | None, typer.Option(metavar="ROLE[,ROLE...]", help=f"Only these roles: {', '.join(ROLES)}.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where HTTP listens, instead of what the settings say.")
    ] = None,
) -> None:
    """Run the sync until SIGTERM or Ctrl-C. Does the setup first.

    Several processes may share the work: `up --only capture` on two machines, one of which waits, and any number of
    `up --only deliver`.
    """
    roles = read_roles(only)

    async def work(settings: Settings) -> int:
        from bothways.wiring.running import run_roles

        return await run_roles(settings, roles, listen)

    raise typer.Exit(run(context, work))


def read_roles(only: str | None) -> tuple[str, ...]:
    """The roles that ``--only`` names, in the order in which they stop. Raises ``typer.BadParameter``."""
    if only is None:
        return ROLES
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name in PLANNED_ROLES:
            raise typer.BadParameter(f"{name} is not there yet; there is: {', '.join(ROLES)}", param_hint="--only")
        if name not in ROLES:
            raise typer.BadParameter(f"{name!r} is no role; there is: {', '.join(ROLES)}", param_hint="--only")
    if not names:
        raise typer.BadParameter(f"names no role; there is: {', '.join(ROLES)}", param_hint="--only")
    return tuple(role for role in ROLES if role in names)
