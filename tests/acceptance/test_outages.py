"""Kafka, PostgreSQL and Stripe away under load from both sides: nothing lost, doubled or looped, and few words."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # all are exported, and not declared so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from bothways.connectors.postgres.setting_up import SETUP_LOCK
from tests.acceptance.installation import Installation, installed
from tests.acceptance.load import Load
from tests.servers.kafka import Broker
from tests.servers.postgres import Server, prepared
from tests.servers.proxy import Proxy, proxy_to
from tests.servers.sandbox import SandboxProcess

PATIENCE_SECONDS = 240.0
"""What waited in an outage is caught up with in seconds; a machine that does much else at a time takes longer."""
LINES = 60
"""So many may be logged for one outage, however long it takes."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Something that goes away and comes back."""

    begin: Callable[[], object]
    end: Callable[[], object]


@dataclass
class Place:
    """An installation whose surroundings can be taken away."""

    installation: Installation
    server: Server
    stripe: Proxy
    broker: Broker | None = None

    def outages(self) -> dict[str, Outage]:
        """Each by its name."""
        admin = self.installation.stripe.admin
        found = {
            "postgres stopped": Outage(self.server.stop, self.server.start),
            "postgres crashed": Outage(lambda: self.server.stop(signal.SIGQUIT), self.server.start),
            "stripe refuses": Outage(self.stripe.refuse, self.stripe.work),
            "stripe is silent": Outage(self.stripe.stall, self.stripe.work),
            "stripe fails": Outage(self._fail, admin.end_faults),
        }
        if self.broker is not None:
            found["kafka killed"] = Outage(self.broker.kill, self.broker.start)
            found["kafka is silent"] = Outage(self.broker.pause, self.broker.go_on)
        return found

    def _fail(self) -> None:
        """Every call is answered 500; some of them took effect."""
        admin = self.installation.stripe.admin
        admin.fault("error_after", probability=0.3)
        admin.fault("error_before")


@contextlib.contextmanager
def place(folder: Path, stripe: SandboxProcess, log: str) -> Iterator[Place]:
    """Servers of its own, and nothing that runs on them yet."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(prepared(folder))
        server.start()
        broker = None
        if log == "kafka":
            broker = Broker(folder)
            broker.start()
            stack.callback(broker.kill)
        proxy = stack.enter_context(proxy_to(stripe.url.removeprefix("http://")))
        ready = stack.enter_context(
            installed(
                folder,
                f"{server.address}/postgres",
                stripe,
                log=f"kafka://{broker.servers}" if broker else "sqlite",
            )
        )
        ready.change_settings(f'"{stripe.url}"', f'"http://127.0.0.1:{proxy.port}"')
        yield Place(ready, server, proxy, broker)


@pytest.fixture(params=["sqlite", "kafka"])
def somewhere(request: pytest.FixtureRequest, tmp_path: Path, stripe_process: SandboxProcess) -> Iterator[Place]:
    """On each log."""
    with place(tmp_path, stripe_process, request.param) as found:
        yield found


def all_go_away(somewhere: Place, outages: Mapping[str, Outage], seconds: float) -> None:
    """One after the other, for so long each; then both sides are equal, and the log was not filled."""
    installation = somewhere.installation
    installation.start()
    installation.wait_ready()
    said = installation.folder / "up.log"
    with Load(installation, seed=7) as load:
        for name, outage in outages.items():
            before = len(said.read_text().splitlines())
            outage.begin()
            time.sleep(seconds)
            outage.end()
            installation.wait_ready()
            lines = said.read_text().splitlines()[before:]
            assert len(lines) <= LINES, f"{name}: {len(lines)} lines\n" + "\n".join(lines)
    installation.wait_equal(PATIENCE_SECONDS)
    load.check()


def test_outages_are_sat_out(somewhere: Place) -> None:
    """Seconds of each; what has nothing to do with the log on one of them only."""
    outages = somewhere.outages()
    if somewhere.broker is not None:
        outages = {name: outage for name, outage in outages.items() if "stripe" not in name}
    all_go_away(somewhere, outages, 2)


@pytest.mark.soak
def test_long_outages_are_sat_out(somewhere: Place) -> None:
    """A minute of each."""
    all_go_away(somewhere, somewhere.outages(), 60)


@pytest.fixture
def room(sqlite_installation: Installation) -> Iterator[Room]:
    """The log's folder on a disk that can be filled; where none can be mounted, a limit of the kernel's on files.

    The disk has room for the log's write-ahead file to reach its checkpoint (8 MB) many times over.
    """
    folder = sqlite_installation.folder / ".bothways"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        yield Limit(sqlite_installation)
        return
    try:
        yield Disk(folder)
    finally:
        sqlite_installation.stop_all()
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_sat_out(room: Room, sqlite_installation: Installation) -> None:
    """The log takes nothing; it is told what is wrong, few times; with room again all is caught up with."""
    installation = sqlite_installation
    installation.start()
    installation.wait_ready()
    with Load(installation, seed=5) as load:
        installation.until(lambda: load.edits > 20, "people are at work")
        room.fill()
        installation.until(lambda: told(installation), "readiness tells of it")
        time.sleep(4)
        room.free()
        installation.wait_ready()
    installation.wait_equal(PATIENCE_SECONDS)
    load.check()
    lines = (installation.folder / "up.log").read_text().splitlines()
    assert len(lines) <= LINES, "\n".join(lines)


def told(installation: Installation) -> bool:
    """Whether ``/readyz`` says that the log has no room, or cannot be used."""
    answer = installation.readiness()
    return answer is not None and ("no space is left" in answer.text or "cannot be used" in answer.text)


class Room(Protocol):
    """Where the log is kept."""

    def fill(self) -> None:
        """Leave no room."""
        ...

    def free(self) -> None:
        """Leave room again."""
        ...


class Disk:
    """A file system of its own."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self) -> None:
        filler = os.open(self._filler, os.O_CREAT | os.O_WRONLY)
        try:
            with contextlib.suppress(OSError):
                while True:
                    os.write(filler, bytes(4096))
        finally:
            os.close(filler)

    def free(self) -> None:
        self._filler.unlink()


class Limit:
    """The kernel refuses the process's writes beyond a size."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def fill(self) -> None:
        self._set(65_536)

    def free(self) -> None:
        self._set(resource.RLIM_INFINITY)

    def _set(self, size: int) -> None:
        process = self._installation.processes["up"]
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))


def test_a_topic_that_takes_little_stops_nobody(kafka_installation: Installation) -> None:
    """Many small changes go in batches that fit; a row that does not fit is kept in step like any other."""
    installation = kafka_installation
    assert installation.run("setup").returncode == 0
    narrow(installation, f"{installation.prefix}.changes")
    installation.sql("ALTER TABLE customers ADD COLUMN notes text")
    installation.start()
    installation.wait_ready()
    installation.sql("INSERT INTO customers (name) SELECT 'small ' || i FROM generate_series(1, 60) i")
    installation.sql("INSERT INTO customers (name, notes) VALUES ('large', repeat('0123456789', 2000))")
    installation.sql("INSERT INTO customers (name) VALUES ('after it')")
    installation.wait_equal(PATIENCE_SECONDS)
    assert len(installation.customers()) == 62
    assert "role.failed" not in (installation.folder / "up.log").read_text()


def test_an_event_that_no_topic_takes_is_kept_in_the_state(kafka_installation: Installation) -> None:
    """A customer of Stripe's that is too large for the topic of events arrives like any other, and those after it do.

    So it does where only the poller finds it, among others.
    """
    installation = kafka_installation
    assert installation.run("setup").returncode == 0
    narrow(installation, f"{installation.prefix}.stripe.customer")
    admin, large = installation.stripe.admin, {f"note {number}": "0123456789" * 40 for number in range(15)}
    admin.create("customer", name="missed")
    admin.create("customer", name="missed, large", metadata=large)
    admin.create("customer", name="missed, after it")
    installation.start()
    installation.wait_ready()
    installation.until(lambda: len(installation.rows()) == 3, "what the poller found is here")
    admin.create("customer", name="large", metadata=large)
    admin.create("customer", name="after it")
    installation.wait_equal(PATIENCE_SECONDS)
    assert sorted(row["name"] for row in installation.rows()) == [
        "after it",
        "large",
        "missed",
        "missed, after it",
        "missed, large",
    ]
    assert installation.letters() == []
    said = (installation.folder / "up.log").read_text()
    assert ("event.oversized" in said, "poll.failed" in said, "role.failed" in said) == (True, False, False)


def narrow(installation: Installation, topic: str) -> None:
    """The topic takes no message above 4,000 bytes from now on."""
    admin = AdminClient({"bootstrap.servers": installation.log.removeprefix("kafka://")})
    entry = ConfigEntry("max.message.bytes", "4000", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([changed])[changed].result(30)


def test_a_start_waits_for_what_is_away(tmp_path: Path, stripe_process: SandboxProcess) -> None:
    """PostgreSQL and Kafka come later than `up`, and the set-up is cut off in its middle: it waits, in few words."""
    with place(tmp_path, stripe_process, "kafka") as somewhere:
        installation, server, broker = somewhere.installation, somewhere.server, somewhere.broker
        assert broker is not None
        server.stop()
        broker.kill()
        installation.start()
        said = installation.folder / "up.log"
        installation.until(lambda: "setup.waits" in said.read_text(), "it waits for PostgreSQL")
        server.start()
        installation.until(lambda: said.read_text().count("setup.waits") == 2, "it waits for Kafka")
        with psycopg.connect(installation.database, autocommit=True) as held:
            held.execute("SELECT pg_advisory_lock(%s)", [SETUP_LOCK])
            broker.start()
            waits = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            pid = installation.until(lambda: installation.sql(waits), "it is in the middle")[0]["pid"]
            installation.sql("SELECT pg_terminate_backend(%s)", pid)
            installation.until(lambda: said.read_text().count("setup.waits") == 3, "it was cut off")
        installation.wait_ready()
        installation.add(name="Ada")
        installation.wait_equal()
        assert installation.stop() == 0
        server.stop()
        installation.start()
        installation.until(lambda: said.read_text().count("setup.waits") == 4, "it waits again")
        assert installation.stop() == 0
