"""``bothways backfill``: the records that both sides have already."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli import exits, output
from bothways.cli.context import AsJson, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bothways.config import Settings
    from bothways.flow.backfill import Backfill
    from bothways.flow.course import Course
    from bothways.model.values import Value

    Courses = Mapping[tuple[str, str], Course]

SHOW_SECONDS = 0.5
"""How often a terminal is brought up to date."""
LOG_SECONDS = 5.0
"""How often a line is logged, where there is no terminal."""
GRACE_SECONDS = 10.0
"""How long what is under way may take to its end, once somebody asked for one."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backfill")(backfill)


def backfill(
    context: typer.Context,
    entity: Annotated[str | None, typer.Argument(metavar="[ENTITY]", help="Only this entity.")] = None,
    system: Annotated[str | None, typer.Option(help="Only this system.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Begin anew what is done already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Match, link and merge the records that both sides have already; what one side lacks is made there.

    May run beside `up`, and goes on where it was after Ctrl-C, SIGTERM or a crash. Deletes nothing. See `plan` first.
    """

    async def work(settings: Settings) -> Courses | None:
        from bothways.wiring import existing
        from bothways.wiring.parts import opened
        from bothways.wiring.reporting import reporting

        with reporting(settings):
            async with opened(settings) as parts:
                return await _run(await existing.prepared(parts, entity, system), again=again)

    started = time.time()
    ended = run(context, work)
    if ended is None:
        typer.echo("bothways: stopped; the same command goes on where it was", err=True)
        raise typer.Exit(exits.INTERRUPTED)
    _show(ended, started, as_json)


async def _run(work: Backfill, *, again: bool) -> Courses | None:
    """None where somebody stopped it."""
    from bothways.flow.crew import Stopped

    task = asyncio.create_task(work.run(again=again))
    shown = asyncio.create_task(_report(work))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        """Once: what is under way may end; twice: now."""
        work.stop()
        loop.call_later(GRACE_SECONDS, task.cancel)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            loop.add_signal_handler(number, task.cancel)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except (Stopped, asyncio.CancelledError):
        return None
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        shown.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await shown


async def _report(work: Backfill) -> None:
    """Progress: a line that changes in a terminal, log lines elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
            while True:
                live.update(_line(work), refresh=True)
                await asyncio.sleep(SHOW_SECONDS)
    import structlog

    log = structlog.get_logger("bothways.backfill")
    while True:
        await asyncio.sleep(LOG_SECONDS)
        log.info("backfill.progress", **_facts(work))


def _facts(work: Backfill) -> dict[str, object]:
    """What there is to say about it now."""
    progress, now = work.progress, asyncio.get_running_loop().time()
    remaining = progress.remaining_seconds(now)
    facts: dict[str, object] = {
        "entity": progress.entity,
        "system": progress.system,
        "phase": progress.phase.value,
        "seen": progress.seen,
        "of": progress.total,
        "per_second": round(progress.rate(now), 1),
        "remaining_seconds": None if remaining is None else round(remaining),
        **(progress.tally.document() if progress.tally else {}),
    }
    if work.context.paused:
        facts["paused"] = "; ".join(f"{system}: {reason}" for system, reason in work.context.paused.items())
    return {name: value for name, value in facts.items() if value is not None}


def _line(work: Backfill) -> str:
    facts = _facts(work)
    if not facts["entity"]:
        return "backfill: looking at the tables"
    total = f" of {facts['of']}" if "of" in facts else ""
    left = f", about {facts['remaining_seconds']} s left" if "remaining_seconds" in facts else ""
    done = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in facts.items() if name in SHOWN and value)
    head = f"{facts['entity']} at {facts['system']}: {facts['phase']} {facts['seen']}{total}"
    paused = f" - waits: {facts['paused']}" if "paused" in facts else ""
    return f"{head}, {facts['per_second']}/s{left}{': ' if done else ''}{done}{paused}"


SHOWN = (
    "linked",
    "rows_created",
    "rows_updated",
    "objects_created",
    "objects_updated",
    "conflicts",
    "dead_letters",
    "waiting",
    "calls",
)


def _done(course: Course) -> dict[str, Value]:
    document = course.tally.document()
    return {name: document[name] for name in SHOWN} | {"ended": output.moment(course.ended)}


def _show(ended: Courses, started: float, as_json: bool) -> None:
    if as_json:
        output.as_json(
            [{"entity": entity, "system": system, **course.document()} for (entity, system), course in ended.items()]
        )
        return
    for (entity, system), course in ended.items():
        before = course.ended is not None and course.ended < started
        when = f"was done already, at {output.moment(course.ended)}; then " if before else ""
        typer.echo(f"{entity} at {system}: {when}{course.objects} objects and {course.rows} rows were looked at")
        output.pairs({f"  {name.replace('_', ' ')}": value for name, value in _done(course).items()})
    if any(course.ended is not None and course.ended < started for course in ended.values()):
        typer.echo("What was done before was left as it is, nothing was compared; --again compares anew.")
    if any(course.tally.dead_letters for course in ended.values()):
        typer.echo("`bothways deadletters list` shows what could not be linked or was refused, and what to do.")
    missing = sum(course.missing for course in ended.values())
    if missing:
        typer.echo(f"{missing} linked rows have no object any more; a backfill deletes nothing.")
