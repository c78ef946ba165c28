"""What the commands share that show what the state keeps for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bothways.cli import output
from bothways.cli.context import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import typer

    from bothways.config import Settings
    from bothways.state.people import People

Answer = TypeVar("Answer")


def ask(context: typer.Context, question: Callable[[People], Awaitable[Answer]]) -> Answer:
    """Ask, or change, what is kept: in one transaction."""

    async def work(settings: Settings) -> Answer:
        from bothways.wiring.parts import opened

        async with opened(settings) as parts, parts.people() as people:
            return await question(people)

    return run(context, work)


def show(document: dict[str, object], at: float, *, as_json: bool) -> None:
    """All of one; ``at``: its time, which people read otherwise than programs."""
    if as_json:
        output.as_json(document)
    else:
        output.pairs({**document, "time": output.moment(at)})
