"""Processes that freeze, come, go and are cut off, all at once and under load: nothing lost, doubled or looped."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from functools import partial

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]  # exported, not declared so
from psycopg import sql

from tests.acceptance import topics
from tests.acceptance.installation import Installation
from tests.acceptance.load import Load

PATIENCE_SECONDS = 240.0
FROZEN_SECONDS = 9.0
"""Longer than the lease on a partition, on either log, and than the server waits for capture."""


def test_a_frozen_process_does_no_harm_when_it_goes_on(kafka_installation: Installation) -> None:
    """A capture and a worker stand still for longer than their leases; others took over, and then both go on."""
    freeze_and_go_on(kafka_installation)


@pytest.mark.soak
def test_a_frozen_process_is_shut_out(sqlite_installation: Installation) -> None:
    """The same where the log itself shuts out who was replaced."""
    freeze_and_go_on(sqlite_installation)


def freeze_and_go_on(installation: Installation) -> None:
    """Those that stood still find their places taken."""
    with psycopg.connect(installation.database, autocommit=True) as connection:
        database = sql.Identifier(installation.prefix)
        connection.execute(sql.SQL("ALTER DATABASE {} SET wal_sender_timeout = '2s'").format(database))
    for name, roles in (("first", "capture"), ("worker", "deliver"), ("receive", "receive,serve")):
        installation.start(name, "--only", roles)
    installation.wait_ready()
    installation.until(lambda: reader(installation), "the first captures")
    for name, roles in (("second", "capture"), ("helper", "deliver")):
        start(installation, name, roles)
    installation.until(partial(has_said, installation, "second", "capture.waits"), "the second waits")
    with Load(installation, seed=11) as load:
        installation.until(lambda: load.edits > 20, "people are at work")
        before = reader(installation)
        freeze(installation, "first", "worker")
        began = time.monotonic()
        installation.until(lambda: reader(installation) not in (None, before), "the second captures")
        time.sleep(max(0.0, began + FROZEN_SECONDS - time.monotonic()))
        go_on(installation, "first", "worker")
        installation.until(partial(has_said, installation, "first", "capture.waits"), "the first waits")
        time.sleep(1)
    installation.wait_equal(PATIENCE_SECONDS)
    load.check()
    repeated = repetitions(installation)
    assert not repeated, repeated


def storm(installation: Installation, turns: int, seed: int) -> None:
    """Something happens every half second or so."""
    chance = random.Random(seed)
    for name in ROLES:
        start(installation, name, ROLES[name])
    what = [cut_off, freeze_one, kill_one, come_or_go]
    if installation.log != "sqlite":
        what.append(add_partitions)
    with Load(installation, seed) as load:
        for turn in range(turns):
            time.sleep(chance.uniform(0.1, 0.8))
            what[turn % len(what)](installation, chance)
    installation.wait_equal(PATIENCE_SECONDS)
    load.check()


def test_a_storm(kafka_installation: Installation) -> None:
    """Each kind of trouble once."""
    storm(kafka_installation, 5, 3)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(200, 200 + int(os.environ.get("BOTHWAYS_SOAK_STORMS", "3"))))
def test_many_storms(installation: Installation, seed: int) -> None:
    """A hundred troubles."""
    storm(installation, 100, seed)


ROLES = {"capture": "capture", "spare": "capture", "worker": "deliver", "helper": "deliver", "receive": "receive,serve"}


def cut_off(installation: Installation, _: random.Random) -> None:
    """Every connection to the database but our own."""
    installation.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def freeze_one(installation: Installation, chance: random.Random) -> None:
    """For half a second."""
    name = chance.choice(list(installation.processes))
    freeze(installation, name)
    time.sleep(0.5)
    go_on(installation, name)


def kill_one(installation: Installation, chance: random.Random) -> None:
    """And start it again."""
    name = chance.choice(list(ROLES))
    if name in installation.processes:
        installation.kill(name)
    start(installation, name, ROLES[name])


def start(installation: Installation, name: str, roles: str) -> None:
    """Until it is up: one that is cut off while it sets up begins anew."""
    log = installation.folder / f"{name}.log"
    before = log.read_text().count('"event": "up"') if log.exists() else 0
    installation.start(name, "--only", roles)
    installation.until(lambda: log.read_text().count('"event": "up"') > before, f"{name} is up")


def come_or_go(installation: Installation, _: random.Random) -> None:
    """A further worker comes; the next time it leaves in order, in the middle of its calls."""
    if "passing" in installation.processes:
        assert installation.stop("passing") == 0
    else:
        start(installation, "passing", "deliver")


def add_partitions(installation: Installation, _: random.Random) -> None:
    """One more on each topic: keys move to other partitions."""
    admin = AdminClient({"bootstrap.servers": installation.log.removeprefix("kafka://")})
    there = admin.list_topics(timeout=30).topics
    more = [NewPartitions(name, len(there[name].partitions) + 1) for name in topics.names(installation)]
    for done in admin.create_partitions(more).values():
        done.result(30)


def reader(installation: Installation) -> int | None:
    """The server's process for who reads the slot."""
    found = installation.sql("SELECT active_pid FROM pg_replication_slots WHERE database = current_database()")
    return found[0]["active_pid"] if found else None


def has_said(installation: Installation, name: str, text: str) -> bool:
    """Whether this process has logged that."""
    return text in installation.said(name)


def freeze(installation: Installation, *names: str) -> None:
    """They stand still."""
    for name in names:
        installation.processes[name].send_signal(signal.SIGSTOP)


def go_on(installation: Installation, *names: str) -> None:
    """They go on as if nothing had been."""
    for name in names:
        installation.processes[name].send_signal(signal.SIGCONT)


def repetitions(installation: Installation) -> dict[bytes, int]:
    """Positions that are more than once on the topic of changes."""
    found = Counter(each.header("bothways.position") or b"" for each in topics.messages(installation))
    return {position: count for position, count in found.items() if count > 1}
