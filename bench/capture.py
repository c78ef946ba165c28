"""WAL → topic: rows a second against pg_recvlogical into /dev/null, latency at 100 commits a second, memory.

Both read the same backlog from copies of one slot, turn and turn about, on a real PostgreSQL 18 and a real Kafka 4.1,
with our defaults. Capture runs in a process of its own, which says how far it is; its time runs from when the stream is
open until the server has the acknowledgement of the last row, so until all rows lie on the topic and are safe there.
pg_recvlogical's runs from its start to its end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition
from tests.servers import kafka, postgres

from bothways.connectors.postgres.capture import PostgresCapture
from bothways.eventlog import open_log
from bothways.ports import Topic
from bothways.sync.mapping import TableMap

BACKLOG_ROWS = 300_000
ROWS_A_TRANSACTION = 100
ROUNDS = 5
LARGE_ROWS = 1_000_000
COMMITS_A_SECOND = 100
LATENCY_SECONDS = 15

TABLE = """
create table customers (id bigint primary key, name text not null, email text, phone text, balance numeric(12,2),
  active boolean, visits int, score double precision, city text, created timestamptz, born date);
create publication bench for table customers;
create procedure fill(first bigint, count bigint, step bigint) language plpgsql as $$
begin
  for i in 0..(count / step - 1) loop
    insert into customers select g, 'Customer number ' || g, 'customer' || g || '@example.com',
      '+49 30 ' || (1000000 + g), (g % 100000) / 100.0, g % 3 = 0, g % 500, g / 7.0,
      case when g % 10 > 0 then 'City ' || (g % 1000) end, timestamptz '2026-01-01' + g * interval '1 second',
      date '1990-01-01' + (g % 10000)::int
      from generate_series(first + i * step, first + (i + 1) * step - 1) g;
    commit;
  end loop;
end $$;
"""


@dataclass(frozen=True, slots=True)
class Servers:
    """Where they are."""

    database: str
    log: str
    """URL of the Kafka log."""


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """A PostgreSQL with the table, and a Kafka."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("kafka", "postgres"):
            (folder / name).mkdir()
        server = stack.enter_context(postgres.running(folder / "postgres"))
        database = stack.enter_context(postgres.database_on(server))
        with psycopg.connect(database, autocommit=True) as connection:
            for statement in TABLE.split(";\n")[:2]:
                connection.execute(statement.encode())
            connection.execute(TABLE.split(";\n", 2)[2].encode())
        yield Servers(database, f"kafka://{stack.enter_context(kafka.running(folder / 'kafka'))}")


class CaptureProcess:
    """``python -m bench.capture work``: a capture that says where it is, once a tenth of a second."""

    def __init__(self, at: Servers, slot: str) -> None:
        self.topic = f"changes-{uuid.uuid4().hex[:8]}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.capture", "work", at.database, at.log, slot, self.topic],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._told: dict[str, float] = {}

    def until(self, condition: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """What it says, once that is so."""
        assert self._process.stdout is not None
        while not (self._told and condition(self._told)):
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError("the capture has ended")
            self._told = json.loads(line)
        return self._told

    def close(self) -> None:
        """End it as a supervisor would."""
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


async def work(database: str, log_url: str, slot: str, topic: str) -> None:
    """The capture process: tells rows, acknowledged position, seconds since the stream is open, memory."""
    log = open_log(log_url, {}, Path())
    await log.ensure([Topic(topic)])
    tables = [TableMap("customer", "customers", topic, frozenset({"name"}))]
    capture = PostgresCapture(database, tables, log, slot=slot, publication="bench", name="bench")
    task = asyncio.create_task(capture.run())
    while capture.ready() is not None and not task.done():  # noqa: ASYNC110  # a role has no event to wait for
        await asyncio.sleep(0.005)
    started = time.perf_counter()
    while not task.done():
        told = {
            "rows": capture.metrics.rows,
            "lsn": capture.metrics.acknowledged_lsn,
            "seconds": time.perf_counter() - started,
            "peak_mb": peak_mb(),
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        await asyncio.wait([task], timeout=0.02)
    await task


def peak_mb(process: int | str = "self") -> float:
    """The most memory that a process has had; this one unless it is named."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def wal_end(connection: psycopg.Connection[Any]) -> tuple[str, int]:
    """The end of the WAL, as text and as a number."""
    found = connection.execute("select pg_current_wal_lsn()::text, pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
    assert found is not None
    return found[0], int(found[1])


def copied_slot(connection: psycopg.Connection[Any], source: str) -> str:
    """A new slot that stands where another one does."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    connection.execute("select pg_copy_logical_replication_slot(%s, %s)", [source, name])
    return name


def peer_seconds(at: Servers, slot: str, end: str) -> float:
    """pg_recvlogical from the slot's place to the end."""
    command = [str(postgres.binaries() / "pg_recvlogical"), "-d", at.database, "--slot", slot, "--start"]
    command += ["-o", "proto_version=1", "-o", "publication_names=bench", "-o", "messages=true"]
    command += ["--endpos", end, "-f", "/dev/null", "--no-loop"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def our_seconds(at: Servers, slot: str, end: int, rows: int) -> tuple[float, float]:
    """Capture over the same; and the memory it took."""
    capture = CaptureProcess(at, slot)
    try:
        told = capture.until(lambda told: told["lsn"] >= end)
        found = messages_on(at, capture.topic)
        if found != rows:
            raise RuntimeError(f"{found} messages on the topic, not {rows}")
    finally:
        capture.close()
    return told["seconds"], told["peak_mb"]


def messages_on(at: Servers, topic: str) -> int:
    """How many messages the topic holds."""
    consumer = Consumer({"bootstrap.servers": at.log.removeprefix("kafka://"), "group.id": "count"})
    try:
        partitions = consumer.list_topics(topic).topics[topic].partitions
        count = 0
        for each in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, each))
            count += high - low
        return count
    finally:
        consumer.close()


def backlog(at: Servers, rounds: int) -> None:
    """Rows a second, turn and turn about."""
    with psycopg.connect(at.database, autocommit=True) as connection:
        connection.execute("select pg_create_logical_replication_slot('begin', 'pgoutput')")
        connection.execute("call fill(1, %s, %s)", [BACKLOG_ROWS, ROWS_A_TRANSACTION])
        end, end_number = wal_end(connection)
        peer, ours, memory = [], [], 0.0
        for number in range(rounds + 1):
            theirs = BACKLOG_ROWS / peer_seconds(at, copied_slot(connection, "begin"), end)
            seconds, peak = our_seconds(at, copied_slot(connection, "begin"), end_number, BACKLOG_ROWS)
            if number:  # the first round warms the broker up
                peer.append(theirs)
                ours.append(BACKLOG_ROWS / seconds)
                memory = max(memory, peak)
        drop_slots(connection)
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    print(f"pg_recvlogical > /dev/null   {_spread(peer)} rows/s")
    print(f"capture → Kafka, JSON        {_spread(ours)} rows/s   peak {memory:.0f} MB")
    print(f"ratio, round by round        median {statistics.median(ratios):.0%}   best {max(ratios):.0%}", flush=True)


def _spread(rates: list[float]) -> str:
    return f"median {statistics.median(rates):9,.0f}   best {max(rates):9,.0f}"


def drop_slots(connection: psycopg.Connection[Any]) -> None:
    """So that the server may throw the WAL away."""
    connection.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where active_pid is null")


def large_transaction(at: Servers) -> None:
    """A million rows in one transaction."""
    with psycopg.connect(at.database, autocommit=True) as connection:
        connection.execute("truncate customers")
        connection.execute("select pg_create_logical_replication_slot('large', 'pgoutput')")
        connection.execute("call fill(1, 10000, 10000)")
        _, first = wal_end(connection)
        capture = CaptureProcess(at, "large")
        try:
            before = capture.until(lambda told: told["lsn"] >= first)
            connection.execute("call fill(10001, %s, %s)", [LARGE_ROWS, LARGE_ROWS])
            _, end = wal_end(connection)
            after = capture.until(lambda told: told["lsn"] >= end)
        finally:
            capture.close()
        drop_slots(connection)
    print(
        f"one transaction of {LARGE_ROWS:,} rows: memory {before['peak_mb']:.0f} MB after 10,000 rows,"
        f" peak {after['peak_mb']:.0f} MB",
        flush=True,
    )


def latency(at: Servers) -> None:
    """Commit → a consumer has the message."""
    with psycopg.connect(at.database, autocommit=True) as connection:
        connection.execute("truncate customers")
        connection.execute("select pg_create_logical_replication_slot('latency', 'pgoutput')")
        capture = CaptureProcess(at, "latency")
        try:
            capture.until(bool)
            p50, p99 = commit_to_message(at, connection, capture.topic)
        finally:
            capture.close()
        drop_slots(connection)
    print(
        f"commit → message at a consumer, {COMMITS_A_SECOND} commits/s: p50 {p50:.2f} ms   p99 {p99:.2f} ms", flush=True
    )


def commit_to_message(
    at: Servers, connection: psycopg.Connection[Any], topic: str, start: int = 0
) -> tuple[float, float]:
    """The median and the 99th percentile, in milliseconds; the rows' keys begin at ``start``."""
    seen: dict[int, float] = {}
    first, stop = threading.Event(), threading.Event()
    reader = threading.Thread(target=_consume, args=(at, topic, seen, first, stop))
    reader.start()
    try:
        connection.execute("insert into customers (id, name) values (%s, 'first')", [start])
        while start not in seen:
            first.wait()
            first.clear()
        committed = _commit(connection, start)
        time.sleep(1.0)
    finally:
        stop.set()
        reader.join()
    found = sorted((seen[number] - at_time) * 1000 for number, at_time in committed.items())
    return found[len(found) // 2], found[int(len(found) * 0.99)]


def _commit(connection: psycopg.Connection[Any], start: int) -> dict[int, float]:
    committed = {}
    due = time.perf_counter()
    for number in range(start + 1, start + COMMITS_A_SECOND * LATENCY_SECONDS + 1):
        due += 1 / COMMITS_A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        connection.execute("insert into customers (id, name, city) values (%s, 'A name', 'A city')", [number])
        committed[number] = time.perf_counter()
    return committed


def _consume(at: Servers, topic: str, seen: dict[int, float], first: threading.Event, stop: threading.Event) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": at.log.removeprefix("kafka://"),
            "group.id": f"latency-{uuid.uuid4().hex[:8]}",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
            "fetch.queue.backoff.ms": 1,
        }
    )
    consumer.subscribe([topic])
    while not stop.is_set():
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            seen[json.loads(message.key() or b"")["id"]] = time.perf_counter()
            first.set()
    consumer.close()


def main() -> None:
    """Everything, or what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="backlog, latency, large; all of them if none is named")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    with servers() as at:
        if not arguments.parts or "backlog" in arguments.parts:
            backlog(at, arguments.rounds)
        if not arguments.parts or "latency" in arguments.parts:
            latency(at)
        if not arguments.parts or "large" in arguments.parts:
            large_transaction(at)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        asyncio.run(work(*sys.argv[2:]))
    else:
        main()
