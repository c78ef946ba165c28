"""The sync end to end: commit → request at Stripe, webhook → committed row, the use of a rate limit, memory.

The program runs as people run it (``bothways up``, its defaults) on a real PostgreSQL 18, on either log, against the
sandbox Stripe in a process of its own.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from tests.acceptance.installation import Installation, installed
from tests.servers import kafka, postgres
from tests.servers.sandbox import SandboxProcess, stripe_server

RECORDS = 100
EDITS = 400
EDITS_A_SECOND = 20.0
CREATES = 300
RATE = 25.0
SHOWS = "SELECT 1 FROM customers WHERE id = %s AND phone = %s"


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    p50: float
    p99: float

    def __str__(self) -> str:
        return f"p50 {self.p50:6.1f} ms   p99 {self.p99:6.1f} ms"


def percentiles(milliseconds: list[float]) -> Latency:
    """Of what was measured."""
    ordered = sorted(milliseconds)
    return Latency(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))])


@contextlib.contextmanager
def running(log: str, rate: float = 400) -> Iterator[Installation]:
    """``bothways up`` with everything around it; ``rate``: calls a second that the settings allow."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("kafka", "postgres"):
            (folder / name).mkdir()
        folder.chmod(0o755)
        server = stack.enter_context(postgres.running(folder / "postgres"))
        database = stack.enter_context(postgres.database_on(server))
        stripe: SandboxProcess = stack.enter_context(stripe_server())
        address = f"kafka://{stack.enter_context(kafka.running(folder / 'kafka'))}" if log == "kafka" else "sqlite"
        installation = stack.enter_context(installed(folder, database, stripe, log=address, poll="60s", rate=rate))
        installation.start()
        installation.wait_ready()
        yield installation


def link_records(installation: Installation) -> list[tuple[int, str]]:
    """Rows that have their customer: (id, customer id)."""
    with psycopg.connect(installation.database, autocommit=True) as connection:
        for number in range(RECORDS):
            connection.execute("INSERT INTO customers (name) VALUES (%s)", [f"customer {number}"])
    installation.wait_equal()
    return [(row["id"], row["stripe_customer_id"]) for row in installation.rows()]


def outward(installation: Installation, records: list[tuple[int, str]]) -> Latency:
    """One row after the other is updated; how long after the commit does the request arrive?"""
    before = installation.stripe.admin.state()["answered"]
    committed: dict[str, list[float]] = {}
    with psycopg.connect(installation.database, autocommit=True) as connection:
        for number in range(EDITS):
            row, customer = records[number % len(records)]
            connection.execute("UPDATE customers SET name = %s WHERE id = %s", [f"edit {number}", row])
            committed.setdefault(customer, []).append(time.time())
            time.sleep(1 / EDITS_A_SECOND)
    installation.wait_equal()
    took: list[float] = []
    for request in installation.stripe.admin.requests(after=before):
        customer = request["path"].rpartition("/")[2]
        if request["method"] == "POST" and committed.get(customer):
            took.append((request["arrived_at"] - committed[customer].pop(0)) * 1000)
    assert len(took) == EDITS, f"{len(took)} requests for {EDITS} edits"
    return percentiles(took)


def inward(installation: Installation, records: list[tuple[int, str]]) -> Latency:
    """One customer after the other is edited by hand; how long until the row shows it? (Looked at every 0.5 ms.)"""
    took: list[float] = []
    with psycopg.connect(installation.database, autocommit=True) as connection:
        for number in range(EDITS // 2):
            row, customer = records[number % len(records)]
            phone = f"+1 {number}"
            installation.stripe.admin.edit("customer", customer, phone=phone)
            edited = time.time()
            while (
                connection.execute("SELECT 1 FROM customers WHERE id = %s AND phone = %s", [row, phone]).rowcount == 0
            ):
                time.sleep(0.0005)
            took.append((time.time() - edited) * 1000)
            time.sleep(1 / EDITS_A_SECOND)
    return percentiles(took)


def rate_limit(installation: Installation) -> tuple[float, int]:
    """(share of the allowed rate that was used, answers 429) while rows are sent under a limit of 25 a second."""
    admin = installation.stripe.admin
    installation.stop()
    settings = (installation.folder / "bothways.toml").read_text().replace("rate = 400", f"rate = {RATE:g}")
    (installation.folder / "bothways.toml").write_text(settings)
    installation.start()
    installation.wait_ready()
    time.sleep(2)
    admin.limits(RATE)
    before = admin.state()
    with psycopg.connect(installation.database, autocommit=True) as connection:
        connection.execute("UPDATE customers SET name = name || '!', city = 'Berlin'")
        connection.execute("INSERT INTO customers (name) SELECT 'burst ' || n FROM generate_series(1, %s) n", [CREATES])
    installation.until(lambda: all(row["stripe_customer_id"] for row in installation.rows()), "all are sent", 120)
    times = sorted(request["arrived_at"] for request in admin.requests(after=before["answered"]))
    limited = admin.state()["rate_limited"] - before["rate_limited"]
    return (len(times) - 1) / (times[-1] - times[0]) / RATE, limited


def memory_megabytes(installation: Installation) -> float:
    """Resident memory of the program."""
    status = Path(f"/proc/{installation.processes['up'].pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    """Measure and print."""
    logs = sys.argv[1:] or ["sqlite", "kafka"]
    for log in logs:
        with running(log) as installation:
            records = link_records(installation)
            first = memory_megabytes(installation)
            tell(log, "commit → request at Stripe", outward(installation, records), "15 and 60")
            tell(log, "webhook → committed row", inward(installation, records), "15 and 60")
            tell(log, "memory of the program, MB", f"{first:.0f}, later {memory_megabytes(installation):.0f}")
            if log == logs[0]:
                used, limited = rate_limit(installation)
                tell(log, f"use of a rate of {RATE:g} a second", f"{used:.1%}, {limited} answers 429", "98 %, 0")


def tell(log: str, what: str, measured: object, goal: str = "") -> None:
    """One line."""
    print(f"{log:7} {what:32} {measured}{f'   (goal {goal})' if goal else ''}", flush=True)


if __name__ == "__main__":
    main()
