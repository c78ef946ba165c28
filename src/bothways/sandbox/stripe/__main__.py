"""``python -m bothways.sandbox.stripe``: the sandbox as a process of its own, without the rest of bothways."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from bothways.sandbox.stripe.server import serve
from bothways.sandbox.stripe.settings import Settings


def main() -> int:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m bothways.sandbox.stripe", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:12111", metavar="HOST:PORT")
    parser.add_argument("--rate", type=float, default=25.0, help="requests a second; 0: no limit")
    parser.add_argument("--search-delay", type=float, default=1.0, help="seconds until search shows a write")
    parser.add_argument("--backoff", type=float, default=0.25, help="seconds before a webhook is tried again")
    parser.add_argument("--normalise", action="store_true", help="lower-case e-mails, trim names")
    parser.add_argument("--seed", type=int, help="make ids and chances repeatable")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    settings = Settings(
        rate=options.rate or None,
        search_delay=options.search_delay,
        webhook_backoff_seconds=options.backoff,
        normalise=options.normalise,
        seed=options.seed,
    )
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(host.strip("[]") or "127.0.0.1", int(port), settings))
    return 0


async def _serve(host: str, port: int, settings: Settings) -> None:
    task = asyncio.current_task()
    assert task
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await serve(host, port, settings=settings)


if __name__ == "__main__":
    sys.exit(main())
