"""Where the steps happen: both sides, the sync between them, the clock, and the screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import LiteralString, TypeVar

from bothways.demo.children import Child
from bothways.demo.failure import NotSeen
from bothways.demo.people import AtPsql, InDashboard
from bothways.demo.screen import BOTHWAYS, POSTGRES, STRIPE, Screen
from bothways.demo.sync import Sync

R = TypeVar("R")

LOOK_EVERY_SECONDS = 0.002
"""How often the other side is looked at; the times that are shown are that exact."""
START_SECONDS = 60.0
"""So long a program may take to start, on a machine that has much else to do."""
SAY_AFTER_SECONDS = 0.25
"""What is waited for so long is said; most is there before anybody could read it."""


@dataclass(slots=True)
class Stage:
    """What a step works with. Things are done with ``sql`` and ``by_hand``; ``arrives`` waits, measures and shows."""

    psql: AtPsql
    stripe: InDashboard
    sync: Sync
    screen: Screen
    children: Sequence[Child]
    patience_seconds: float
    """So long a change may take to arrive."""
    arrivals: list[float] = field(default_factory=list)
    """Milliseconds of every change that went over while all was well."""
    _since: float = 0.0

    def sql(self, statement: LiteralString) -> None:
        """The person at psql runs this; the clock starts when it is committed."""
        self.screen.did(POSTGRES, " ".join(statement.split()))
        self.psql.run(statement)
        self.start_clock()

    def by_hand(self, what: str, kind: str, id: str, /, **fields: object) -> None:
        """The person in the dashboard changes an object; the clock starts then."""
        shown = ", ".join(f"{name} → {_short(value)}" for name, value in fields.items())
        self.screen.did(STRIPE, f"{what}: {shown}")
        self.stripe.edit(kind, id, **fields)
        self.start_clock()

    def start_clock(self) -> None:
        """What arrives from now on is measured from now on."""
        self._since = time.perf_counter()

    def arrives(
        self, where: str, what: str, look: Callable[[], R | None], show: Callable[[R], str], *, counts: bool = True
    ) -> R:
        """Wait until ``look`` finds something there, show it with the time it took. Raises ``NotSeen``."""
        found = self.until(what, look)
        took = 1000 * (time.perf_counter() - self._since)
        if counts:
            self.arrivals.append(took)
        self.screen.seen(where, show(found), took)
        return found

    def until(self, what: str, look: Callable[[], R | None], seconds: float | None = None) -> R:
        """Wait until ``look`` finds something, for so long or as long as the patience lasts.

        Raises ``NotSeen`` if it never does, or a program has ended.
        """
        began, said, patience = time.monotonic(), False, seconds or self.patience_seconds
        with ExitStack() as until_found:
            while not (found := look()):
                self.check()
                waited = time.monotonic() - began
                if waited > patience:
                    raise NotSeen(f"not seen within {patience:g} s: {what}")
                if waited > SAY_AFTER_SECONDS and not said:
                    said = True
                    until_found.enter_context(self.screen.waiting(f"waiting until {what}"))
                time.sleep(LOOK_EVERY_SECONDS)
        return found

    def prove(self, where: str, what: str, holds: bool, instead: object = "") -> None:
        """Show something that was looked at. Raises ``NotSeen`` if it is not so."""
        if not holds:
            raise NotSeen(f"not so: {what}" + (f" (instead: {instead})" if instead != "" else ""))
        self.screen.proven(where, what)

    def check(self) -> None:
        """Raises ``NotSeen`` if a program that should run has ended."""
        for child in self.children:
            child.check()

    def settled(self) -> None:
        """Wait until all webhooks are taken and nothing on the log waits."""
        self.until("nothing waits any more", lambda: self.stripe.is_quiet() and self.sync.is_idle())

    def start_sync(self) -> float:
        """Start ``bothways up``; returns, when it does its work, the seconds that took."""
        began = time.perf_counter()
        self.sync.child.start()
        self.until("bothways up is ready", self.sync.is_ready, START_SECONDS)
        return time.perf_counter() - began

    def stop_sync(self) -> None:
        """Stop it as Ctrl-C would."""
        self.sync.child.stop()
        self.screen.did(BOTHWAYS, "stopped for a while: `bothways up` was told to end, and did")


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
