"""``bothways conflicts``: what both sides changed, and who won."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli import output
from bothways.cli.context import AsJson
from bothways.cli.kept import ask, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bothways.state.people import KeptConflict

group = typer.Typer(help="Look at what both sides changed.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(group, name="conflicts")


@group.command("list")
def list_conflicts(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    before: Annotated[int | None, typer.Option(help="Go on from this number.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show conflicts, the newest first."""

    found = ask(context, lambda people: people.conflicts.list(before=before, limit=limit))
    if as_json:
        output.as_json([_document(kept) for kept in found])
        return
    columns = ["id", "time", "system", "record", "winner", "in the database", "at the system"]
    output.table(columns, [_row(kept) for kept in found], empty="There are no conflicts.", whole=columns[:5])


@group.command("show")
def show_conflict(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="ID", help="Its number in the list.")],
    as_json: AsJson = False,
) -> None:
    """Show all of one conflict."""

    kept = ask(context, lambda people: people.conflicts.get(number))
    show(_document(kept), kept.at, as_json=as_json)


def _row(kept: KeptConflict) -> Sequence[object]:
    found = kept.conflict
    record = f"{found.record.entity} {found.record.key} {found.column}".rstrip()
    when = output.moment(kept.at)
    return (kept.id, when, found.system, record, found.winner, found.row_value, found.remote_value)


def _document(kept: KeptConflict) -> dict[str, object]:
    found = kept.conflict
    return {
        "id": kept.id,
        "time": kept.at,
        "system": found.system,
        "entity": found.record.entity,
        "key": found.record.key,
        "column": found.column,
        "winner": found.winner,
        "found_in": found.found_in,
        "row_value": found.row_value,
        "remote_value": found.remote_value,
    }
