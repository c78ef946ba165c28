"""The program ``bothways``: its commands, and what becomes of errors.

Start-up is quick because only this package is imported; a command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from bothways import __version__
from bothways.cli import (
    backfill,
    conflicts,
    deadletters,
    demo,
    doctor,
    exits,
    pause,
    plan,
    records,
    sandbox,
    setup,
    status,
    tail,
    up,
)
from bothways.cli.context import Invocation
from bothways.insight.hiding import hidden
from bothways.model.errors import BothwaysError

app = typer.Typer(
    name="bothways",
    help="Keeps a database and SaaS systems in step, both ways, in real time.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for group in (demo, doctor, setup, plan, backfill, up, pause, records, tail, status, deadletters, conflicts, sandbox):
    group.register(app)

GLOBAL_WITH_VALUE = ("--config", "--log-level")
GLOBAL_FLAGS = ("--debug",)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bothways {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The settings; BOTHWAYS_CONFIG or ./bothways.toml unless given.")
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="From where on the log says something.")
    ] = "info",
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version.")
    ] = False,
) -> None:
    context.obj = Invocation(config=config, debug=debug, log_level=log_level)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors are a line on stderr, and a hint."""
    ordered = _global_options_first(list(sys.argv[1:] if arguments is None else arguments))
    debug = "--debug" in ordered
    try:
        code = app(ordered, prog_name="bothways", standalone_mode=False)
    except typer.TyperException as error:
        _show_usage_error(error)
        return error.exit_code
    except typer.Abort:  # asked, and told not to
        return exits.FAILED
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BothwaysError as error:
        if debug:
            _show_where(error)
        _complain(error.message, error.hint)
        return exits.of_error(error)
    except Exception as error:  # noqa: BLE001 - nobody is above this: it is told, and the exit code says so
        if debug:
            _show_where(error)
        _complain(f"unexpected {type(error).__name__}: {error}", "the same command with --debug shows where")
        return exits.FAILED
    return code if isinstance(code, int) else exits.OK


def _global_options_first(arguments: list[str]) -> list[str]:
    """``bothways up --config x`` means ``bothways --config x up``."""
    first: list[str] = []
    rest: list[str] = []
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        if argument == "--":
            return [*first, *rest, *arguments[at:]]
        if argument in GLOBAL_FLAGS or argument.startswith(tuple(f"{name}=" for name in GLOBAL_WITH_VALUE)):
            first.append(argument)
        elif argument in GLOBAL_WITH_VALUE:
            first += arguments[at : at + 2]
            at += 1
        else:
            rest.append(argument)
        at += 1
    return first + rest


def _show_usage_error(error: typer.TyperException) -> None:
    message = error.format_message()
    if message.startswith("Usage:"):  # a group without a command: its help
        typer.echo(message, err=True)
        return
    command = getattr(getattr(error, "ctx", None), "command_path", "bothways")
    _complain(message, f"{command} --help")


def _show_where(error: BaseException) -> None:
    """A traceback, which quotes messages of libraries: those may quote secrets."""
    typer.echo(hidden("".join(traceback.format_exception(error))), err=True, nl=False)


def _complain(message: str, hint: str) -> None:
    lines = hidden(message).splitlines() or [""]
    if len(lines) == 1:
        typer.echo(f"bothways: {lines[0]}", err=True)
    else:
        typer.echo("\n".join(lines), err=True)
    if hint:
        typer.echo(f"  hint: {hidden(hint)}", err=True)


if __name__ == "__main__":
    sys.exit(main())
