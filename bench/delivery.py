"""Delivery's own cost: CPU of ``bothways up`` for a record created, updated, and changed at Stripe; records a second.

One process does everything (capture, delivery, webhooks), with no limit on the rate, beside the sandbox and PostgreSQL.
A create and an update count with the webhook that tells of them: it is dealt with, too.

Run with ``python -m bench.delivery [records]``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString

from tests.acceptance.installation import Installation

from bench.flow import running, tell

RECORDS = 2000
UNLIMITED = 10_000.0
INSERT: LiteralString = (
    "INSERT INTO customers (name, email) SELECT 'name ' || n, n || '@example.com' FROM generate_series(1, %s) n"
)
UNLINKED: LiteralString = "SELECT count(*) AS n FROM customers WHERE stripe_customer_id IS NULL"
SEEN: LiteralString = "SELECT count(*) AS n FROM bothways.seen WHERE event_id LIKE 'evt%%'"
NOT_SHOWN: LiteralString = "SELECT count(*) AS n FROM customers WHERE phone IS DISTINCT FROM '+1 ' || %s"
WAIT_SECONDS = 300


def cpu_seconds(pid: int) -> float:
    """What the process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Measured:
    """The program, and what it has used since the last look."""

    def __init__(self, installation: Installation, records: int) -> None:
        self.installation, self.records = installation, records
        self.pid = installation.processes["up"].pid

    def during(self, what: str, act: Callable[[], None], done: Callable[[], bool]) -> None:
        """Let something happen, wait until it is dealt with, tell what it cost."""
        events = self.seen() + self.records
        used, began = cpu_seconds(self.pid), time.monotonic()
        act()
        self.installation.until(done, what, WAIT_SECONDS)
        took = time.monotonic() - began
        self.installation.until(lambda: self.seen() >= events, f"the events of {what}", WAIT_SECONDS)
        each = (cpu_seconds(self.pid) - used) / self.records * 1000
        tell("sqlite", what, f"{each:5.2f} ms CPU each, {self.records / took:4.0f} records a second")

    def seen(self) -> int:
        """Events that were dealt with."""
        return int(self.installation.sql(SEEN)[0]["n"])

    def create(self) -> None:
        """Rows that Stripe does not have."""
        all_linked = lambda: self.installation.sql(UNLINKED)[0]["n"] == 0  # noqa: E731 - short, and used once
        self.during("create", lambda: self._sql(INSERT, self.records), all_linked)

    def update(self) -> None:
        """Every row is changed."""
        before = self.installation.writes()
        all_sent = lambda: self.installation.writes() - before >= self.records  # noqa: E731 - short, and used once
        self.during("update", lambda: self._sql("UPDATE customers SET name = name || '!'"), all_sent)

    def edit(self) -> None:
        """Every customer is changed at Stripe, by hand."""

        def edit_all() -> None:
            for row in self.installation.rows():
                self.installation.stripe.admin.edit("customer", row["stripe_customer_id"], phone="+1 23")

        shown = lambda: self.installation.sql(NOT_SHOWN, "23")[0]["n"] == 0  # noqa: E731 - short, and used once
        self.during("event of an edit at Stripe", edit_all, shown)

    def _sql(self, query: LiteralString, *values: object) -> None:
        self.installation.sql(query, *values)


def main() -> None:
    """Measure and print."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    with running("sqlite", UNLIMITED) as installation:
        measured = Measured(installation, records)
        measured.create()
        measured.update()
        measured.edit()


if __name__ == "__main__":
    main()
