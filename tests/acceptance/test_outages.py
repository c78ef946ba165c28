"""Kafka, PostgreSQL and Stripe away under load from both sides: nothing lost, doubled or looped, and few words."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation, installed
from tests.acceptance.load import Load
from tests.servers.kafka import Broker
from tests.servers.postgres import Server, prepared
from tests.servers.proxy import Proxy, proxy_to
from tests.servers.sandbox import SandboxProcess

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
    installation.wait_equal()
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
