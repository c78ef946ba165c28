"""The demo from its first line to its last: start everything, go through the steps, stay, leave nothing behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg

from bothways.demo import folder, postgres, shop
from bothways.demo.byhand import to_try
from bothways.demo.children import Child, free_ports, program
from bothways.demo.failure import NotSeen
from bothways.demo.memory import megabytes
from bothways.demo.people import AtPsql, InDashboard
from bothways.demo.screen import Screen
from bothways.demo.stage import START_SECONDS, Stage
from bothways.demo.steps import STEPS
from bothways.demo.sync import Sync
from bothways.demo.trouble import differences, records

PAUSE_SECONDS = 0.8
"""Between two steps, where a person reads along."""


def run(wanted: Path | None, *, wait: bool, patience_seconds: float, screen: Screen) -> bool:
    """Show everything; whether every step was seen to happen. Raises ``KeyboardInterrupt`` if stopped before that.

    ``wait``: stay up afterwards until Ctrl-C or SIGTERM. Whatever ends it, no program and no temporary file is left.
    """
    postgres.binaries()  # before anything is made or said
    _forget_own_settings()
    with _interruptible(), folder.opened(wanted) as where, ExitStack() as stack:
        screen.open(str(where))
        children: list[Child] = []
        try:
            with _explained(children):
                stage, database = _started(where, children, stack, patience_seconds, screen)
            took = _go_through(stage)
        except NotSeen as error:
            screen.failed(str(error), _last_words(children))
            return False
        screen.result(_facts(stage, took, where if wanted else None))
        if not wait:
            return True
        screen.by_hand(to_try(where, stage, database))
        return _stay(stage)


def _started(
    where: Path, children: list[Child], stack: ExitStack, patience_seconds: float, screen: Screen
) -> tuple[Stage, postgres.Database]:
    """All programs run, the tables are there; what is started is stopped with the stack, in reverse order."""
    began = time.perf_counter()
    database_port, stripe_port, http_port = free_ports(3)
    listen = f"127.0.0.1:{stripe_port}"
    sandbox = Child("Stripe's sandbox", program("sandbox", "stripe", "--listen", listen), where / "stripe.log", where)
    children.append(sandbox)
    stack.callback(sandbox.stop)
    sandbox.start()  # first, since it starts while the database makes its files
    database = stack.enter_context(postgres.running(where / "postgres.log", database_port))
    children.append(database.server)
    psql = AtPsql(database.url)
    stack.callback(psql.close)
    psql.run(shop.TABLES)
    screen.started(f"PostgreSQL {psql.version()}, with the tables of shop.sql", time.perf_counter() - began)
    stripe = InDashboard(f"http://{listen}")
    stack.callback(stripe.close)
    sync = Sync(where, http_port)
    stack.callback(sync.close)
    stack.callback(sync.child.stop)
    stage = Stage(psql, stripe, sync, screen, children, patience_seconds)
    stage.until("Stripe's sandbox answers", stripe.answers, START_SECONDS)
    secret = stripe.add_webhook(f"{sync.url}/webhooks/stripe")
    screen.started("Stripe's sandbox, which behaves as Stripe does", time.perf_counter() - began)
    settings = shop.settings(database=database.url, http_port=http_port, stripe=stripe.url, webhook_secret=secret)
    folder.write(where, settings, database.psql, database.url)
    children.append(sync.child)
    stage.start_sync()
    screen.started("bothways up, the sync itself", time.perf_counter() - began)
    return stage, database


def _go_through(stage: Stage) -> float:
    """All steps; the seconds that took. Raises ``NotSeen``."""
    began = time.perf_counter()
    for number, (title, step) in enumerate(STEPS, start=1):
        if stage.screen.is_terminal:
            time.sleep(PAUSE_SECONDS)
        stage.screen.step(number, title)
        try:
            with _explained(stage.children):
                step(stage)
        except NotSeen as error:
            raise NotSeen("\n".join([f"step {number}, {title}", str(error), *_both_sides(stage)])) from error
    return time.perf_counter() - began


def _facts(stage: Stage, took: float, kept: Path | None) -> dict[str, str]:
    """What was seen, in sum."""
    times = sorted(stage.arrivals)
    facts = {
        "steps": f"all {len(STEPS)}, in {took:.1f} s",
        "a change arrived after": f"{times[len(times) // 2]:.0f} ms (half of them), {times[-1]:.0f} ms (all of them)",
    }
    names = {"the demo itself": os.getpid()} | {child.name: child.pid for child in stage.children if child.pid}
    sizes = {name: megabytes(pid, alone=pid == os.getpid()) for name, pid in names.items()}
    known = {name: size for name, size in sizes.items() if size is not None}
    if known:
        parts = ", ".join(f"{name} {size:.0f}" for name, size in known.items())
        facts["memory"] = f"{sum(known.values()):.0f} MB: {parts}"
    if kept is not None:
        facts["kept"] = f"settings and logs, in {kept}"
    return facts


def _stay(stage: Stage) -> bool:
    """Until Ctrl-C, which is the good end; False where a program ends by itself."""
    ended = threading.Event()
    for child in stage.children:
        child.tell_end(ended.set)
    stage.screen.say("\nAll of it runs on, and goes away with Ctrl-C.")
    try:
        ended.wait()
    except KeyboardInterrupt:
        stage.screen.say("\nStopping.")
        return True
    try:
        stage.check()
    except NotSeen as error:
        stage.screen.failed(str(error), _last_words(stage.children))
    return False


@contextmanager
def _explained(children: Sequence[Child]) -> Iterator[None]:
    """Errors become ``NotSeen``; that a program has ended says more than what followed from it."""
    try:
        yield
    except (NotSeen, httpx.HTTPError, psycopg.Error) as error:
        for child in children:
            child.check()
        if isinstance(error, NotSeen):
            raise
        raise NotSeen(f"{type(error).__name__}: {error}") from error


def _both_sides(stage: Stage) -> Sequence[str]:
    """How they stand, as far as they can be looked at."""
    try:
        return differences(stage) or [f"both sides have {each}" for each in records(stage)]
    except (httpx.HTTPError, psycopg.Error) as error:
        return [f"both sides cannot be compared: {error}"]


def _last_words(children: Sequence[Child]) -> Mapping[str, Sequence[str]]:
    return {child.name: child.last_words() for child in children}


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the demo, once: what is under way to stop is not stopped in that."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

    def stop(*_: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _forget_own_settings() -> None:
    """The caller's settings for PostgreSQL's clients are for another database."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
