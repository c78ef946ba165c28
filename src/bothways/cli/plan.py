"""``bothways plan``: what a backfill would do, before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli import output
from bothways.cli.context import AsJson, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bothways.config import Settings
    from bothways.flow.planned import Bucket, PairPlan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(
    context: typer.Context,
    entity: Annotated[str | None, typer.Argument(metavar="[ENTITY]", help="Only this entity.")] = None,
    system: Annotated[str | None, typer.Option(help="Only this system.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read both sides and show what a backfill would do: creates, updates, links, conflicts, what is left out.

    Writes nothing anywhere, and needs no setup.
    """

    async def work(settings: Settings) -> Sequence[PairPlan]:
        from bothways.wiring import existing

        return await existing.plan(settings, entity, system)

    plans = run(context, work)
    if as_json:
        output.as_json([each.document() for each in plans])
        return
    for each in plans:
        _show(each)


def _show(plan: PairPlan) -> None:
    typer.echo(f"{plan.entity} at {plan.system}: {plan.rows} rows, {plan.objects} objects")
    lines = [
        ("rows", "create", plan.rows_created),
        ("rows", "update", plan.rows_updated),
        ("objects", "create", plan.objects_created),
        ("objects", "update", plan.objects_updated),
    ]
    rows = [(where, what, bucket.count, _examples(bucket)) for where, what, bucket in lines]
    rows += [("both", "delete", 0, ""), ("both", "linked already", plan.linked_already, "")]
    kinds = {"link by": plan.links, "conflict, won by": plan.conflicts, "left out:": plan.left_out, "note:": plan.notes}
    rows += [
        ("both", f"{what} {kind}", bucket.count, _examples(bucket))
        for what, buckets in kinds.items()
        for kind, bucket in buckets.items()
    ]
    rows.append(("both", "values that would be refused", plan.refused.count, _examples(plan.refused)))
    output.table(["where", "what", "count", "for example"], rows, empty="")
    typer.echo(
        f"{plan.dead_letters} dead letters; {plan.calls} calls, at the allowed rate {_duration(plan.seconds)}.\n"
    )


def _examples(bucket: Bucket) -> str:
    more = "; …" if bucket.count > len(bucket.examples) else ""
    return "; ".join(bucket.examples) + more


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
