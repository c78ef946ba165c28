"""Capture by triggers: what it costs the application's writes, and how long a commit takes to a message at a consumer.

The writes are those of an application on the server's own machine: inserts of one row per transaction, by one
connection and by four, and one insert of many rows, turn and turn about with triggers and without, while capture runs.
The server writes its WAL to disk (fsync). A ratio of 0.8 says that 80 % of the writes are left.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from tests.servers import kafka, postgres

from bench.capture import COMMITS_A_SECOND, TABLE, Servers, commit_to_message, peak_mb
from bothways.connectors.postgres import outbox_setup
from bothways.connectors.postgres.trigger_capture import PostgresTriggerCapture
from bothways.eventlog import open_log
from bothways.ports import Topic
from bothways.sync.mapping import TableMap

ROUNDS = 3
SECONDS = 1.5
MANY_ROWS = 50_000
BACKLOG_ROWS = 200_000
TOPIC = "changes"
"""The topic of the table with triggers. The other table, ``plain``, has none."""
INSERT = (
    "insert into {} select g, 'Customer number ' || g, 'customer' || g || '@example.com', '+49 30 ' || g,"
    " (g %% 100000) / 100.0,"
    " true, 7, (g %% 1000) / 7.0, 'City', now(), '1990-01-01' from generate_series(%s::bigint, %s::bigint) g"
)


def tables(topic: str = TOPIC) -> list[TableMap]:
    """What is captured."""
    return [TableMap("customer", "customers", topic, frozenset({"name"}))]


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """A PostgreSQL with both tables, and a Kafka."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("kafka", "postgres"):
            (folder / name).mkdir()
        postgres.SETTINGS["fsync"] = "on"
        server = stack.enter_context(postgres.running(folder / "postgres"))
        database = stack.enter_context(postgres.database_on(server))
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(TABLE.split(";\n")[0].encode())
            connection.execute("create table plain (like customers including all)")
        asyncio.run(outbox_setup.setup(database, tables()))
        yield Servers(database, f"kafka://{stack.enter_context(kafka.running(folder / 'kafka'))}")


class Working:
    """``python -m bench.triggers work``: a capture in a process of its own."""

    def __init__(self, at: Servers) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.triggers", "work", at.database, at.log], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def peak_mb(self) -> float:
        """The most memory that it has had."""
        return peak_mb(self._process.pid)

    def close(self) -> None:
        """End it as a supervisor would."""
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


async def work(database: str, log_url: str) -> None:
    """The capture process: says when it works."""
    log = open_log(log_url, {}, Path())
    await log.ensure([Topic(TOPIC)])
    capture = PostgresTriggerCapture(database, tables(), log, name="bench")
    task = asyncio.create_task(capture.run())
    while capture.ready() is not None and not task.done():  # noqa: ASYNC110  # a role has no event to wait for
        await asyncio.sleep(0.005)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await task


def single_rows(at: Servers, table: str, writers: int) -> float:
    """Inserts a second, a transaction each."""
    done = [0] * writers
    end = time.perf_counter() + SECONDS

    def write(number: int) -> None:
        with psycopg.connect(at.database, autocommit=True) as connection:
            statement, key = INSERT.format(table).encode(), time.time_ns() // 1000 * 8 + number
            while time.perf_counter() < end:
                connection.execute(statement, [key, key], prepare=True)
                key += 8
                done[number] += 1

    with ThreadPoolExecutor(writers) as threads:
        list(threads.map(write, range(writers)))
    return sum(done) / SECONDS


def many_rows(at: Servers, table: str) -> float:
    """Rows a second, in one statement."""
    with psycopg.connect(at.database, autocommit=True) as connection:
        first = time.time_ns() // 1000 * 8
        began = time.perf_counter()
        connection.execute(INSERT.format(table).encode(), [first, first + MANY_ROWS - 1])
        return MANY_ROWS / (time.perf_counter() - began)


def cost(at: Servers) -> None:
    """With triggers and without, turn and turn about."""
    kinds: dict[str, Callable[[str], float]] = {
        "one row a commit, 1 writer": lambda table: single_rows(at, table, 1),
        "one row a commit, 4 writers": lambda table: single_rows(at, table, 4),
        f"{MANY_ROWS:,} rows a commit": lambda table: many_rows(at, table),
    }
    for name, measure in kinds.items():
        plain, with_triggers = [], []
        for number in range(ROUNDS + 1):
            rates = measure("plain"), measure("customers")
            until_empty(at)
            if number:  # the first round warms up
                plain.append(rates[0])
                with_triggers.append(rates[1])
        ratio = statistics.median(one / other for one, other in zip(with_triggers, plain, strict=True))
        print(
            f"{name:28} without {statistics.median(plain):9,.0f} rows/s   with {statistics.median(with_triggers):9,.0f}"
            f" rows/s   ratio {ratio:.2f}",
            flush=True,
        )


def until_empty(at: Servers) -> None:
    """Until all is on the log, and taken out of the outbox."""
    with psycopg.connect(at.database, autocommit=True) as connection:
        while connection.execute("select from bothways.outbox limit 1").rowcount:
            time.sleep(0.05)


def latency(at: Servers) -> None:
    """Commit → a consumer has the message."""
    with psycopg.connect(at.database, autocommit=True) as connection:
        p50, p99 = commit_to_message(at, connection, TOPIC)
    print(
        f"commit → message at a consumer, {COMMITS_A_SECOND} commits/s: p50 {p50:.2f} ms   p99 {p99:.2f} ms"
        "   (goal: p50 < 10)",
        flush=True,
    )


def backlog(at: Servers) -> None:
    """What was written while nobody captured: rows a second until all is on the log and out of the outbox; memory."""
    with psycopg.connect(at.database, autocommit=True) as connection:
        first = time.time_ns() // 1000 * 8
        connection.execute(INSERT.format("customers").encode(), [first, first + BACKLOG_ROWS - 1])
    capture = Working(at)
    try:
        began = time.perf_counter()
        until_empty(at)
        seconds = time.perf_counter() - began
        print(
            f"backlog of {BACKLOG_ROWS:,} rows: {BACKLOG_ROWS / seconds:,.0f} rows/s until the outbox is empty,"
            f" peak {capture.peak_mb():.0f} MB",
            flush=True,
        )
    finally:
        capture.close()


def main() -> None:
    """Everything."""
    with servers() as at:
        capture = Working(at)
        try:
            latency(at)  # first, so that the consumer has nothing to catch up with
            cost(at)
        finally:
            capture.close()
        backlog(at)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        asyncio.run(work(*sys.argv[2:]))
    else:
        main()
