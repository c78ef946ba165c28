"""``bothways tail``: what goes over the log, as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli import output
from bothways.cli.context import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bothways.config import Settings
    from bothways.wiring.looking import Seen


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tail")(tail)


def tail(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ENTITY|TOPIC]...", help="Only these; everything unless given.")
    ] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest message.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each message as a line of JSON.")] = False,
) -> None:
    """Follow the topics until Ctrl-C."""

    async def work(settings: Settings) -> None:
        from bothways.wiring.looking import follow, topics_of
        from bothways.wiring.parts import opened

        topics = topics_of(settings, names or [])
        async with opened(settings) as parts:
            count = 0
            async for seen in follow(await parts.log(), topics, from_start=from_start):
                _show(seen, as_json)
                count += 1
                if count == limit:
                    return

    run(context, work)


def _show(seen: Seen, as_json: bool) -> None:
    if as_json:
        output.as_line(seen.document())
    else:
        typer.echo(" ".join(_words(seen)))


def _words(seen: Seen) -> Sequence[str]:
    origin = [f"(from {seen.origin})"] if seen.origin else []
    changed = [f"{name}={output.text(value)}" for name, value in seen.changed.items()]
    return [output.moment(seen.timestamp_ms / 1000), seen.topic, seen.what, seen.key, *origin, *changed]
