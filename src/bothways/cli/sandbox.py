"""``bothways sandbox``: stand-ins for remote systems, for trials and tests in any language."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli import exits

if TYPE_CHECKING:
    from bothways.sandbox.stripe.settings import Settings

group = typer.Typer(help="Stand-ins for remote systems.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(group, name="sandbox")


@group.callback()
def _keep_the_name() -> None:
    """Stand-ins for remote systems."""


@group.command("stripe")
def stripe(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it listens.")] = "127.0.0.1:12111",
    rate: Annotated[float, typer.Option(min=0, help="Requests a second that are allowed; 0: any number.")] = 25.0,
    search_delay: Annotated[float, typer.Option(min=0, help="Seconds until search shows a write.")] = 1.0,
    backoff: Annotated[float, typer.Option(min=0, help="Seconds before a webhook is tried again.")] = 0.25,
    seed: Annotated[int | None, typer.Option(help="Makes ids repeatable.")] = None,
    normalise: Annotated[
        bool, typer.Option("--normalise", help="Trim names and write e-mails in small letters, as some systems do.")
    ] = False,
    everybody: Annotated[
        bool, typer.Option("--open", help="Let other machines see and use the page, too; for containers.")
    ] = False,
) -> None:
    """A Stripe that keeps what it is told until Ctrl-C: customers, products, events, signed webhooks.

    Takes any key that begins with sk_test_. Needs no settings. The page at /dashboard/ shows and edits what it
    holds, and switches its faults on and off.
    """
    from bothways.config.units import parse_listen

    try:
        where = parse_listen(listen)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--listen") from None
    from bothways.sandbox.stripe.settings import Settings

    settings = Settings(
        rate=rate or None,
        search_delay=search_delay,
        webhook_backoff_seconds=backoff,
        seed=seed,
        normalise=normalise,
        open=everybody,
    )
    try:
        asyncio.run(_serve(where.host, where.port, settings))
    except OSError as error:
        typer.echo(f"bothways: cannot listen on {where}: {error.strerror}", err=True)
        raise typer.Exit(exits.FAILED) from None


async def _serve(host: str, port: int, settings: Settings) -> None:
    import signal

    from bothways.sandbox.stripe.server import running

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(settings=settings, host=host, port=port or None) as served:
        typer.echo(f"Stripe's sandbox listens on {served.url}; keys: anything that begins with sk_test_")
        typer.echo(f"Its page{'' if settings.open else ', for a browser on this machine'}: {served.url}/dashboard/")
        await stop.wait()
