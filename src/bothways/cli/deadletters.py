"""``bothways deadletters``: what could not be delivered, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli import exits, output
from bothways.cli.context import AsJson
from bothways.cli.kept import ask, show

if TYPE_CHECKING:
    from bothways.state.people import KeptLetter

group = typer.Typer(help="Look at what could not be delivered.", no_args_is_help=True, rich_markup_mode=None)

Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="Numbers from the list.")]

CLEARS = "`deadletters replay ID` tries again, `drop ID` forgets it"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(group, name="deadletters")


@group.command("list")
def list_letters(
    context: typer.Context,
    entity: Annotated[str | None, typer.Option(help="Only of this entity.")] = None,
    system: Annotated[str | None, typer.Option(help="Only to or from this system.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    before: Annotated[int | None, typer.Option(help="Go on from this number.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show dead letters, the newest first."""

    letters = ask(context, lambda people: people.letters.list(entity=entity, system=system, before=before, limit=limit))
    if as_json:
        output.as_json([_document(kept) for kept in letters])
        return
    rows = [
        (kept.id, output.moment(kept.at), kept.letter.direction.value, kept.letter.system, _record(kept), _why(kept))
        for kept in letters
    ]
    columns = ["id", "time", "way", "system", "record", "why"]
    output.table(columns, rows, empty="There are no dead letters.", whole=columns[:-1])
    if letters:
        typer.echo(CLEARS)


@group.command("show")
def show_letter(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="ID", help="Its number in the list.")],
    as_json: AsJson = False,
) -> None:
    """Show all of one dead letter."""

    kept = ask(context, lambda people: people.letters.get(number))
    show(_document(kept), kept.at, as_json=as_json)
    if not as_json:
        typer.echo(CLEARS)


@group.command("replay")
def replay(context: typer.Context, numbers: Ids, as_json: AsJson = False) -> None:
    """Have them tried again by whoever delivers."""

    found = ask(context, lambda people: people.letters.mark_for_replay(numbers))
    _count(found, len(set(numbers)), "to be tried again", as_json)


@group.command("drop")
def drop(
    context: typer.Context,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="ID...", help="Numbers from the list.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, with --all.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget them."""
    if bool(numbers) == every:
        raise typer.BadParameter("name their numbers, or --all", ctx=context)
    if every:
        _drop_all(context, yes, as_json)
        return
    asked = numbers or []

    _count(ask(context, lambda people: people.letters.drop(asked)), len(set(asked)), "dropped", as_json)


def _drop_all(context: typer.Context, yes: bool, as_json: bool) -> None:
    """Those that there are when it asks: what comes while somebody thinks about it stays."""

    number, highest = ask(context, lambda people: people.letters.extent())
    if number and not yes:
        typer.confirm(f"This forgets all {number} dead letters. Go on?", abort=True, err=True)

    found = ask(context, lambda people: people.letters.drop_until(highest))
    _count(found, found, "dropped", as_json)


def _count(found: int, asked: int, what: str, as_json: bool) -> None:
    """Say how many there were; some that were not there are an exit code of their own."""
    if as_json:
        output.as_json({"asked": asked, "found": found})
    else:
        typer.echo(f"{found} of {asked} {what}." if found < asked else f"{found} {what}.")
    if found < asked:
        raise typer.Exit(exits.MISSING)


def _record(kept: KeptLetter) -> str:
    field = f" {kept.letter.field}" if kept.letter.field else ""
    return f"{kept.letter.entity} {kept.letter.key}{field}"


def _why(kept: KeptLetter) -> str:
    waits = " (is tried again)" if kept.replay else ""
    return kept.letter.reason + waits


def _document(kept: KeptLetter) -> dict[str, object]:
    letter = kept.letter
    return {
        "id": kept.id,
        "time": kept.at,
        "direction": letter.direction.value,
        "system": letter.system,
        "entity": letter.entity,
        "key": letter.key,
        "field": letter.field,
        "reason": letter.reason,
        "hint": letter.hint,
        "change": letter.change,
        "replay": kept.replay,
        "payload": letter.payload,
    }
