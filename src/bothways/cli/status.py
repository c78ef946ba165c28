"""``bothways status``: how things stand."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from bothways.cli import output
from bothways.cli.context import AsJson, run
from bothways.cli.pause import in_words

if TYPE_CHECKING:
    from bothways.config import Settings
    from bothways.connectors.postgres.outbox_status import OutboxStatus
    from bothways.connectors.postgres.slot import SlotStatus
    from bothways.wiring.numbers import Status


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show links, what waits, dead letters, conflicts and the last poll; from the state and the log."""

    async def work(settings: Settings) -> Status:
        from bothways.wiring.numbers import status_of
        from bothways.wiring.parts import opened

        async with opened(settings) as parts:
            return await status_of(parts)

    found = run(context, work)
    if as_json:
        output.as_json(asdict(found))
    else:
        _show(found)


def _show(found: Status) -> None:
    output.table(
        ["entity", "system", "links", "linked", "deleted", "in flight"],
        [
            (pair.entity, pair.system, pair.links, pair.linked, pair.deleted, pair.in_flight)
            for pair in found.counts.pairs
        ],
        empty="There are no links yet.",
    )
    output.table(
        ["entity", "system", "backfill", "objects", "rows", "ended"],
        [
            (each.entity, each.system, each.phase, each.objects, each.rows, output.moment(each.ended))
            for each in found.backfills
        ],
        empty="Nothing is mapped to a remote system.",
    )
    output.table(["topic", "waiting"], list(found.waiting.items()), empty="There are no topics.")
    output.table(
        ["system", "last poll", ""],
        [
            (
                system,
                output.moment(poll.polled) or "never",
                "changes were missed: run `bothways backfill`" if poll.gap else "",
            )
            for system, poll in found.polls.items()
        ],
        empty="There are no remote systems.",
    )
    for lane in found.lanes:
        if lane.paused:
            typer.echo(f"{lane.system} {lane.direction.value}: {in_words(lane)}\n")
    if found.troubles:
        output.table(["entity", "what is wrong with its table"], list(found.troubles.items()), empty="")
    counts = found.counts
    output.pairs(
        {
            "capture": _capture(found),
            "parked": counts.parked,
            "dead letters": counts.dead_letters,
            "conflicts": f"{counts.conflicts}, {counts.reviews} of them to be reviewed",
        }
    )


def _capture(found: Status) -> str:
    if found.slot is not None:
        return _slot(found.slot)
    return "nothing is captured: run `bothways setup`" if found.outbox is None else _outbox(found.outbox)


def _outbox(outbox: OutboxStatus) -> str:
    reader = "read now" if outbox.active else "nobody reads it"
    said = f"outbox, {reader}, {outbox.waiting} changes waiting"
    if outbox.oldest is None:
        return said
    age = "of unknown age" if outbox.oldest.seconds is None else f"for {outbox.oldest.seconds:.0f} s"
    who = "a prepared one" if outbox.oldest.process is None else f"server process {outbox.oldest.process}"
    return f"{said}; the oldest transaction runs {age} ({who})"


def _slot(slot: SlotStatus) -> str:
    reader = "read now" if slot.active else "nobody reads it"
    trouble = "" if slot.wal_status in ("reserved", "extended") else f", its WAL is {slot.wal_status}"
    return f"{slot.name}, {reader}, {slot.lag_bytes} bytes behind{trouble}"
