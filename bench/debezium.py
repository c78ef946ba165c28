"""Capture beside Debezium Server 3.6, tuned: rows a second, latency at 100 commits a second, memory.

Both read the same backlog from copies of one slot, turn and turn about, into the same Kafka. Our time runs until the
server has the acknowledgement of the last row, theirs until the topic holds it; both from when the slot is read, so
that the start of Java does not count. Latency is theirs once Java is warm.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from tests.servers import connect, debezium

from bench.capture import (
    BACKLOG_ROWS,
    ROWS_A_TRANSACTION,
    CaptureProcess,
    Servers,
    commit_to_message,
    copied_slot,
    drop_slots,
    messages_on,
    our_seconds,
    peak_mb,
    servers,
    wal_end,
)
from bothways.eventlog import open_log
from bothways.ports import Topic

ROUNDS = 3
PREFIX = "debezium"
TOPIC = f"{PREFIX}.public.customers"
PATIENCE_SECONDS = 120.0


@contextlib.contextmanager
def their_capture(
    at: Servers, connection: psycopg.Connection[Any], slot: str, offsets: Path | None = None
) -> Iterator[tuple[int, Path]]:
    """Debezium Server reading the slot, from where the file of offsets says; gives its process id and its own file."""
    settings = connect.source_settings(at.database, PREFIX, slot, "public.customers")
    settings |= {"publication.name": "bench", "publication.autocreate.mode": "disabled"}
    settings |= {"provide.transaction.metadata": "false"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if offsets is not None:
            shutil.copy(offsets, folder / "offsets")
        with debezium.running(folder, at.log.removeprefix("kafka://"), settings) as process:
            query = "select from pg_replication_slots where slot_name = %s and active"
            end = time.monotonic() + PATIENCE_SECONDS
            while not connection.execute(query, [slot]).fetchall():
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((folder / "debezium.log").read_text()[-3000:])
                time.sleep(0.005)
            yield process.pid, folder / "offsets"


def keep(offsets: Path, copy: Path) -> None:
    """A copy of the file of offsets, once it is written."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (offsets.exists() and offsets.stat().st_size):
        if time.monotonic() > end:
            raise RuntimeError("Debezium Server wrote no offsets")
        time.sleep(0.1)
    time.sleep(1.0)  # it is written in one go
    shutil.copy(offsets, copy)


def until(at: Servers, messages: int) -> float:
    """Wait until the topic holds so many; when that was."""
    end = time.monotonic() + PATIENCE_SECONDS
    while messages_on(at, TOPIC) < messages:
        if time.monotonic() > end:
            raise RuntimeError(f"{messages_on(at, TOPIC)} messages on the topic, not {messages}")
        time.sleep(0.02)
    return time.perf_counter()


def backlog(at: Servers, connection: psycopg.Connection[Any], rounds: int, folder: Path) -> None:
    """Rows a second and memory of both."""
    connection.execute("select pg_create_logical_replication_slot('begin', 'pgoutput')")
    begin = folder / "begin"
    with their_capture(at, connection, copied_slot(connection, "begin")) as (_, offsets):
        connection.execute("insert into customers (id, name) values (0, 'known to both')")
        until(at, 1)
        keep(offsets, begin)
    connection.execute("call fill(1, %s, %s)", [BACKLOG_ROWS, ROWS_A_TRANSACTION])
    _, end = wal_end(connection)
    theirs, ours, their_mb, our_mb = [], [], 0.0, 0.0
    for number in range(rounds + 1):
        before = messages_on(at, TOPIC)
        with their_capture(at, connection, copied_slot(connection, "begin"), begin) as (process, _):
            started = time.perf_counter()
            seconds = until(at, before + BACKLOG_ROWS) - started
            their_mb = max(their_mb, peak_mb(process))
        our_time, peak = our_seconds(at, copied_slot(connection, "begin"), end, BACKLOG_ROWS + 1)
        if number:  # the first round warms the broker up
            theirs.append(BACKLOG_ROWS / seconds)
            ours.append(BACKLOG_ROWS / our_time)
            our_mb = max(our_mb, peak)
    drop_slots(connection)
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    print(f"rows/s, median: Debezium Server {statistics.median(theirs):,.0f}   bothways {statistics.median(ours):,.0f}")
    print(f"ratio, round by round: median {ratio:.1f}")
    print(
        f"memory, peak: Debezium Server {their_mb:,.0f} MB   bothways {our_mb:,.0f} MB   ratio {our_mb / their_mb:.2f}"
    )


def latency(at: Servers, connection: psycopg.Connection[Any]) -> None:
    """Commit → a consumer has the message, of both."""
    connection.execute("truncate customers")
    connection.execute("select pg_create_logical_replication_slot('theirs', 'pgoutput')")
    with their_capture(at, connection, "theirs"):
        commit_to_message(at, connection, TOPIC, 1_000_000)
        their_p50, their_p99 = commit_to_message(at, connection, TOPIC, 2_000_000)
    connection.execute("truncate customers")
    connection.execute("select pg_create_logical_replication_slot('ours', 'pgoutput')")
    capture = CaptureProcess(at, "ours")
    try:
        capture.until(bool)
        p50, p99 = commit_to_message(at, connection, capture.topic)
    finally:
        capture.close()
    drop_slots(connection)
    print(f"commit → message: Debezium Server p50 {their_p50:.2f} ms   p99 {their_p99:.2f} ms")
    print(f"commit → message: bothways        p50 {p50:.2f} ms   p99 {p99:.2f} ms", flush=True)


def main() -> None:
    """Everything, and how busy the machine was with other things before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}", flush=True)
    debezium.fetched()
    with servers() as at, tempfile.TemporaryDirectory() as name, psycopg.connect(at.database, autocommit=True) as admin:
        asyncio.run(_make_topic(at))
        backlog(at, admin, arguments.rounds, Path(name))
        latency(at, admin)


async def _make_topic(at: Servers) -> None:
    log = open_log(at.log, {}, Path())
    await log.ensure([Topic(TOPIC)])
    await log.close()


if __name__ == "__main__":
    main()
