"""``bothways pause`` and ``bothways resume``: one system, in one direction or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bothways.cli import output
from bothways.cli.context import AsJson, run

if TYPE_CHECKING:
    from bothways.config import Settings
    from bothways.model.outcome import Direction
    from bothways.wiring.lanes import LaneStatus

System = Annotated[str, typer.Argument(help="The system's name in the settings.")]
Way = Annotated[
    Literal["in", "out", "both"], typer.Option(help="out: to the system; in: to the database.", show_default=True)
]
Allow = Annotated[
    bool, typer.Option("--allow-deletions", help="Make the deletions that are held, and all asked for until now.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause")(pause)
    app.command("resume")(resume)


def pause(context: typer.Context, system: System, direction: Way = "both", as_json: AsJson = False) -> None:
    """Let everything for a system wait until `resume`. Nothing is lost, however long it lasts."""

    async def work(settings: Settings) -> Sequence[LaneStatus]:
        from bothways.wiring.lanes import pause as pause_lanes

        return await pause_lanes(settings, system, _directions(direction))

    _show(run(context, work), as_json)


def resume(
    context: typer.Context,
    system: System,
    direction: Way = "both",
    allow_deletions: Allow = False,
    as_json: AsJson = False,
) -> None:
    """Let what waits go on. Also tries a key again that was refused, and answers the brake on deletions."""

    async def work(settings: Settings) -> Sequence[LaneStatus]:
        from bothways.wiring.lanes import resume as resume_lanes

        return await resume_lanes(settings, system, _directions(direction), allow_deletions=allow_deletions)

    _show(run(context, work), as_json)


def _directions(direction: str) -> Sequence[Direction]:
    from bothways.model.outcome import Direction

    return list(Direction) if direction == "both" else [Direction(direction)]


def _show(lanes: Sequence[LaneStatus], as_json: bool) -> None:
    if as_json:
        output.as_json([asdict(each) for each in lanes])
        return
    for each in lanes:
        typer.echo(f"{each.system} {each.direction.value}: {in_words(each)}")


def in_words(lane: LaneStatus) -> str:
    """How a lane stands, on a line."""
    if not lane.paused:
        return "goes on"
    why = "; ".join(f"{each.reason} (since {output.moment(each.since)})" for each in lane.paused)
    answer = f"; to make them: bothways resume {lane.system} --direction {lane.direction.value} --allow-deletions"
    held = answer if any(each.by == "deletions" for each in lane.paused) else ""
    return f"paused, {lane.waiting} pieces of work wait: {why}{held}"
