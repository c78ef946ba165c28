"""`up`: the sync as a process, and as several."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from bothways.cli import exits
from tests.integration.cli.program import SETTINGS, Program
from tests.servers.sandbox import SandboxProcess
from tests.servers.shared import free_ports

PATIENCE_SECONDS = 30.0
DOCS = Path(__file__).parents[3] / "docs"


class Sync:
    """A program whose `up` can be started, its Stripe, and its HTTP."""

    def __init__(self, program: Program, stripe: SandboxProcess, port: int) -> None:
        self.program, self.stripe, self.port = program, stripe, port
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        self._processes: list[subprocess.Popen[str]] = []

    def up(self, *options: str) -> subprocess.Popen[str]:
        """Start it."""
        process = self.program.start("up", *options)
        assert process.stdout is not None
        process.stdout.close()
        self._processes.append(process)
        return process

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """What ``look`` finds, as soon as it finds something."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                found = look()
            except httpx.TransportError:  # nobody listens, or whoever did has gone
                found = None
            if found:
                return found
            log = (self.program.folder / "up.log").read_text()
            assert time.monotonic() < deadline, f"never: {what}\n{log[-4000:]}"
            assert all(process.poll() is None for process in self._processes), f"ended before: {what}\n{log[-4000:]}"
            time.sleep(0.02)

    def ready(self) -> bool:
        """Whether HTTP says so."""
        return self.http.get("/readyz").status_code == 200

    def customer(self, name: str) -> dict[str, Any] | None:
        """The customer of that name at Stripe."""
        return next((each for each in self.stripe.admin.objects("customer") if each["name"] == name), None)

    def rows(self, condition: str) -> list[tuple[Any, ...]]:
        """Rows of the table."""
        with psycopg.connect(self.program.database) as connection:
            query = f"SELECT id, name, email, points, stripe_customer_id FROM customers WHERE {condition}"
            return connection.execute(query.encode()).fetchall()

    def execute(self, statement: str) -> None:
        """What the application does."""
        with psycopg.connect(self.program.database, autocommit=True) as connection:
            connection.execute(statement.encode())

    def close(self) -> None:
        """End what is left."""
        self.http.close()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture
def sync(program: Program, stripe_process: SandboxProcess) -> Iterator[Sync]:
    """Settings that name a sandbox, whose webhooks come to them."""
    (port,) = free_ports(1)
    hook = {"url": f"http://127.0.0.1:{port}/webhooks/stripe", "enabled_events[]": "*"}
    answer = httpx.post(f"{stripe_process.url}/v1/webhook_endpoints", auth=(stripe_process.api_key, ""), data=hook)
    text = SETTINGS.format(port=port, stripe=stripe_process.url).replace("whsec_test", answer.json()["secret"])
    (program.folder / "bothways.toml").write_text(text)
    made = Sync(program, stripe_process, port)
    yield made
    made.close()


def numbers_are_those_that_are_explained(page: str) -> None:
    """A process with every role shows what docs/metrics.md lists, no more, no less; the alerts ask for nothing else.

    But for what is said to be there with triggers only.
    """
    shown = set(re.findall(r"^# TYPE (bothways_\w+)", page, re.MULTILINE))
    listed = (DOCS / "metrics.md").read_text()
    by_triggers = set(re.findall(r"^\| `(bothways_\w+)` .* \| with triggers: ", listed, re.MULTILINE))
    assert shown | by_triggers == set(re.findall(r"^\| `(bothways_\w+)`", listed, re.MULTILINE))
    assert not shown & by_triggers
    assert set(re.findall(r"bothways_\w+", (DOCS / "alerts.yml").read_text())) <= shown


def test_one_process_does_everything_and_stops_cleanly(sync: Sync) -> None:
    """Rows become objects, objects become rows, edits go both ways; SIGTERM ends it in order; no secret is logged."""
    process = sync.up()
    sync.until(sync.ready, "ready")
    made = sync.http.post("/v1/records/customer", json={"name": "Ada", "email": "ada@example.org", "points": 3})
    assert made.status_code == 201
    shown = sync.until(lambda: sync.customer("Ada"), "Ada at Stripe")
    assert (shown["email"], shown["metadata"]["points"]) == ("ada@example.org", "3")
    sync.stripe.admin.edit("customer", shown["id"], name="Ada Lovelace")
    sync.until(lambda: sync.rows("name = 'Ada Lovelace'"), "the edit in the table")
    sync.stripe.admin.create("customer", name="Grace", email="grace@example.org")
    ((_, _, email, _, remote_id),) = sync.until(lambda: sync.rows("name = 'Grace'"), "Grace in the table")
    assert email == "grace@example.org"
    assert remote_id == sync.customer("Grace")["id"]  # type: ignore[index]  # she was made there
    numbers_are_those_that_are_explained(sync.http.get("/metrics").text)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == exits.OK
    log = (sync.program.folder / "up.log").read_text()
    assert "Traceback" not in log
    assert "sk_test_sandbox" not in log
    assert "whsec_" not in log


def test_a_dead_letter_lies_on_its_topic_and_can_be_replayed(sync: Sync) -> None:
    """What Stripe refuses is said in the list and on the topic; the rest of the record goes through; others never wait.

    Replayed once the cause is gone, it goes through.
    """
    sync.up()
    sync.until(sync.ready, "ready")
    sync.execute("INSERT INTO customers (name, email) VALUES ('Ada', 'no address')")
    program = sync.program
    (letter,) = sync.until(lambda: program("deadletters", "list", "--json").json(), "a dead letter")
    assert (letter["direction"], letter["system"], letter["field"]) == ("out", "stripe", "email")
    assert letter["reason"]
    assert letter["hint"]
    assert sync.until(lambda: sync.customer("Ada"), "Ada at Stripe")["email"] is None
    message = program("tail", "bothways.deadletter", "--from-start", "--limit", "1", "--json").json()
    assert message["key"] == letter["key"]
    assert program("deadletters", "replay", str(letter["id"])).code == exits.OK
    (again,) = sync.until(
        lambda: [each for each in program("deadletters", "list", "--json").json() if each["id"] != letter["id"]],
        "the same letter, since nothing was put right",
    )
    assert again["reason"] == letter["reason"]
    sync.execute("UPDATE customers SET email = 'ada@example.org'")
    sync.until(lambda: (sync.customer("Ada") or {}).get("email") == "ada@example.org", "the address that was put right")


def test_what_the_database_refused_can_be_replayed(sync: Sync) -> None:
    """An edit and a new object that a constraint forbids come in once the constraint is gone, as they are by then."""
    sync.execute("ALTER TABLE customers ADD CONSTRAINT few CHECK (points < 10)")
    sync.up()
    sync.until(sync.ready, "ready")
    ada = sync.stripe.admin.create("customer", name="Ada", email="ada@example.org", metadata={"points": "1"})
    sync.until(lambda: sync.rows("name = 'Ada'"), "Ada in the table")
    sync.stripe.admin.edit("customer", ada["id"], metadata={"points": "20"}, name="Ada Lovelace")
    sync.until(lambda: sync.rows("name = 'Ada Lovelace' AND points = 1"), "the rest of the edit")
    sync.stripe.admin.edit("customer", ada["id"], phone="1")
    program = sync.program
    (letter,) = program("deadletters", "list", "--json").json()
    assert (letter["direction"], letter["field"]) == ("in", "points")
    sync.execute("ALTER TABLE customers DROP CONSTRAINT few")
    assert program("deadletters", "replay", str(letter["id"])).code == exits.OK
    sync.until(lambda: sync.rows("name = 'Ada Lovelace' AND points = 20"), "the refused value")
    assert program("deadletters", "list", "--json").json() == []


def test_roles_may_run_in_processes_of_their_own(sync: Sync) -> None:
    """With one settings file on one machine: who has nothing but its health to show gives the address up.

    Whatever starts first, the address is the one's that serves on it.
    """
    others = [sync.up("--only", "deliver")]
    sync.until(sync.ready, "ready")
    assert set(sync.http.get("/readyz").json()["roles"]) == {"deliver", "mappings", "dead letters", "cleanup", "http"}
    receiving = sync.up("--only", "receive,serve")
    serving = {"poll stripe", "webhooks of stripe", "records", "http"}
    sync.until(lambda: sync.ready() and set(sync.http.get("/readyz").json()["roles"]) == serving, "ready to serve")
    others.append(sync.up("--only", "capture"))
    assert sync.http.post("/v1/records/customer", json={"name": "Ada"}).status_code == 201
    shown = sync.until(lambda: sync.customer("Ada"), "Ada at Stripe")
    sync.stripe.admin.edit("customer", shown["id"], name="Ada Lovelace")
    sync.until(lambda: sync.rows("name = 'Ada Lovelace'"), "the edit in the table")
    for process in (receiving, *others):
        process.send_signal(signal.SIGTERM)
    assert [process.wait(30) for process in (receiving, *others)] == [exits.OK] * 3


def test_an_address_that_is_taken_is_refused_where_it_is_needed(sync: Sync) -> None:
    """Webhooks and the API cannot do without; nothing runs then."""
    sync.up("--only", "serve")
    sync.until(sync.ready, "ready")
    refused = sync.program.installed("up", "--only", "receive")
    assert refused.code == exits.USAGE
    assert f"cannot listen on 127.0.0.1:{sync.port}" in refused.err
    open_to_all = sync.program.installed("up", "--only", "serve", "--listen", "0.0.0.0:0")
    assert open_to_all.code == exits.USAGE
    assert "there is no key" in open_to_all.err
