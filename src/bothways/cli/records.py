"""``bothways records``: the user's records. They are written to the database only; the rest follows from there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli import output
from bothways.cli.context import AsJson, run

if TYPE_CHECKING:
    from bothways.config import Settings
    from bothways.model.values import Value, Values
    from bothways.ports import RecordPage, Written

group = typer.Typer(help="List, read and write records of the catalogue.", no_args_is_help=True, rich_markup_mode=None)

Entity = Annotated[str, typer.Argument(metavar="ENTITY", help="As in the settings: customer.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The primary key; several columns with commas between them.")]
Assignments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[COLUMN=TEXT | COLUMN:=JSON]...", help="`name=Ada`, `age:=36`, `city:=null`."),
]
Data = Annotated[str | None, typer.Option("--data", metavar="JSON", help="All columns as an object; - reads stdin.")]
IdempotencyKey = Annotated[
    str | None, typer.Option(help="The same key with the same values repeats the first answer and writes nothing.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(group, name="records")


@group.command("list")
def list_records(
    context: typer.Context,
    entity: Entity,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Records on a page.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where the page begins: next_cursor of the one before.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a page of records."""

    async def work(settings: Settings) -> RecordPage:
        from bothways.wiring.parts import opened

        async with opened(settings) as parts:
            return await (await parts.records()).list(entity, limit, cursor)

    page = run(context, work)
    if as_json:
        output.as_json({"data": page.rows, "next_cursor": page.next_cursor})
        return
    columns = list(page.rows[0]) if page.rows else []
    rows = [[row[column] for column in columns] for row in page.rows]
    output.table(columns, rows, empty=f"There is no {entity}.")
    if page.next_cursor:
        typer.echo(f"There are more: --cursor {page.next_cursor}")


@group.command("get")
def get_record(context: typer.Context, entity: Entity, key: Key, as_json: AsJson = False) -> None:
    """Show one record."""

    async def work(settings: Settings) -> Values:
        from bothways.wiring.parts import opened

        async with opened(settings) as parts:
            return await (await parts.records()).get(entity, key)

    found = run(context, work)
    if as_json:
        output.as_json(found)
    else:
        output.pairs(found)


@group.command("create")
def create_record(
    context: typer.Context,
    entity: Entity,
    values: Assignments = None,
    data: Data = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
) -> None:
    """Make a record."""
    _show(_write(context, entity, None, read_values(values or [], data), idempotency_key), as_json)


@group.command("update")
def update_record(
    context: typer.Context,
    entity: Entity,
    key: Key,
    values: Assignments = None,
    data: Data = None,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
) -> None:
    """Change a record: the columns that are named."""
    _show(_write(context, entity, key, read_values(values or [], data), idempotency_key), as_json)


@group.command("delete")
def delete_record(context: typer.Context, entity: Entity, key: Key, as_json: AsJson = False) -> None:
    """Delete a record."""

    async def work(settings: Settings) -> str:
        from bothways.wiring.parts import opened

        async with opened(settings) as parts:
            return await (await parts.records()).delete(entity, key)

    token = run(context, work)
    if as_json:
        output.as_json({"deleted": True, "token": token})
    else:
        typer.echo(f"Deleted {entity} {key}.")


def read_values(assignments: list[str], data: str | None) -> dict[str, Value]:
    """The columns that the command line names. Raises ``typer.BadParameter``."""
    values: dict[str, Value] = {} if data is None else _object(sys.stdin.read() if data == "-" else data)
    for assignment in assignments:
        name, found, text = assignment.partition("=")
        if not found or not name.rstrip(":"):
            raise typer.BadParameter(f"{assignment!r} is no COLUMN=TEXT or COLUMN:=JSON")
        values[name.removesuffix(":")] = _json(text, name.removesuffix(":")) if name.endswith(":") else text
    if not values:
        raise typer.BadParameter("no values; write COLUMN=TEXT, COLUMN:=JSON or --data JSON")
    return values


def _json(text: str, name: str) -> Value:
    try:
        value: Value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f'{name} is no JSON: {error}; text is written as {name}="…"') from None
    return value


def _object(text: str) -> dict[str, Value]:
    value = _json(text, "--data")
    if not isinstance(value, dict):
        raise typer.BadParameter('--data must be an object, as {"name": "Ada"}')
    return value


def _write(
    context: typer.Context, entity: str, key: str | None, values: Values, idempotency_key: str | None
) -> Written:
    async def work(settings: Settings) -> Written:
        from bothways.wiring.parts import opened

        async with opened(settings) as parts:
            return await (await parts.records()).write(entity, key, values, idempotency_key=idempotency_key)

    return run(context, work)


def _show(written: Written, as_json: bool) -> None:
    if as_json:
        output.as_json({"record": written.row, "token": written.token, "repeated": written.repeated})
    else:
        output.pairs(written.row)
