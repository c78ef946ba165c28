"""Nothing that the program prints shows a secret, however it fails."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import TextIO

import httpx
import psycopg
import pytest

from tests.integration.cli.program import BOTHWAYS, TABLES
from tests.servers import sentry
from tests.servers.sandbox import SandboxProcess
from tests.servers.shared import die_with_parent, free_ports

SETTINGS = """\
[catalogue]
url = "env:DATABASE_URL"
[log]
url = "kafka://{kafka}"
[log.kafka]
security.protocol = "SASL_PLAINTEXT"
sasl.mechanisms = "PLAIN"
sasl.username = "app"
sasl.password = "file:kafka-password"
ssl.key.password = "env:SSL_KEY_PASSWORD"
[http]
listen = "127.0.0.1:{port}"
api_keys = ["env:API_KEY"]
[systems.stripe]
api_key = "file:stripe-key"
api_base = "{stripe}"
webhook_secrets = ["env:WEBHOOK_SECRET"]
poll = "1s"
[entities.customer]
table = "customers"
[entities.customer.stripe]
object = "customer"
match_on = ["email"]
[entities.customer.stripe.fields]
name = "name"
email = "email"
"""
SECRETS = {
    "DATABASE": "db-secret/%41 x",
    "KAFKA": "kafkasecretvalue",
    "SSL_KEY_PASSWORD": "sslsecretvalue",
    "API_KEY": "apisecretvalue",
    "STRIPE": "sk_test_stripesecretvalue",
    "WEBHOOK_SECRET": "whsec_webhooksecretvalue",
}
SHOWN = re.compile("db-secret|secretvalue")


@pytest.fixture
def slot(database: str) -> str:
    """What the program calls its slot."""
    return f"bothways_{database.rpartition('/')[2]}"


class Erring:
    """A program with secrets of every kind in its settings."""

    def __init__(self, folder: Path, kafka: str, stripe: str) -> None:
        (self.port,) = free_ports(1)
        self.folder = folder
        (folder / "bothways.toml").write_text(SETTINGS.format(kafka=kafka, stripe=stripe, port=self.port))
        (folder / "kafka-password").write_text(SECRETS["KAFKA"] + "\n")
        (folder / "stripe-key").write_text(SECRETS["STRIPE"])

    def run(self, database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command, as told to show all it can."""
        with self.start(database, subprocess.PIPE, *arguments) as process:
            out, _ = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out)

    def start(self, database: str, out: TextIO | int, *arguments: str) -> subprocess.Popen[str]:
        """One command that goes on; both of its streams go the same way."""
        return subprocess.Popen(
            [BOTHWAYS, "--log-level", "debug", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**os.environ, **SECRETS, "DATABASE_URL": database},
            preexec_fn=die_with_parent,
        )


@pytest.fixture
def guarded(database: str) -> str:
    """The database's address with a password in it, which a server that trusts everybody does not look at."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES.encode())
    return database.replace("postgres@", "postgres:db-secret%2F%2541%20x@")


def wait_until_it_serves(process: subprocess.Popen[str], url: str) -> None:
    """Whether ready or not."""
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/healthz", timeout=5)
        except httpx.TransportError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_errors_of_all_kinds_show_no_secret(
    tmp_path: Path, guarded: str, kafka_guarded: str, stripe_process: SandboxProcess
) -> None:
    """Kafka refuses the password; the database is not there; a table is missing; all told with tracebacks."""
    erring = Erring(tmp_path, kafka_guarded, stripe_process.url)
    refused = erring.run(guarded, "--debug", "up")
    assert refused.returncode == 1, refused.stdout
    assert "[log.kafka]" in refused.stdout
    assert "Traceback" in refused.stdout
    nowhere = erring.run("postgresql://app:db-secret%2F%2541%20x@127.0.0.1:1/shop", "--debug", "status", "--json")
    assert nowhere.returncode == 3
    (tmp_path / "bothways.toml").write_text((tmp_path / "bothways.toml").read_text().replace('"customers"', '"people"'))
    broken = erring.run(guarded, "setup", "--debug")
    assert broken.returncode == 2
    for each in (refused, nowhere, broken):
        assert not SHOWN.search(each.stdout)


def test_a_program_that_runs_shows_no_secret(tmp_path: Path, guarded: str, slot: str) -> None:
    """Its pages, its log, and what it tells Sentry of a role that goes down, while strangers try their luck."""
    (nobody,) = free_ports(1)
    erring = Erring(tmp_path, "127.0.0.1:1", f"http://127.0.0.1:{nobody}")
    settings = (tmp_path / "bothways.toml").read_text()
    kafka = settings[settings.index("[log]") : settings.index("[http]")]
    url = f"http://127.0.0.1:{erring.port}"
    with sentry.running() as told:
        told_of = f'[insight]\nsentry_dsn = "{told.dsn}"\n'
        (tmp_path / "bothways.toml").write_text(settings.replace(kafka, told_of))
        with (tmp_path / "out").open("w") as out, erring.start(guarded, out, "up") as process:
            wait_until_it_serves(process, url)
            forged = {"Stripe-Signature": "t=1,v1=00"}
            answers = [httpx.get(f"{url}{path}", timeout=10) for path in ("/metrics", "/readyz", "/openapi.json", "/")]
            answers += [httpx.get(f"{url}/v1/records/customer", headers={"Authorization": "Bearer no"}, timeout=10)]
            answers += [httpx.post(f"{url}/webhooks/stripe", content=b"{}", headers=forged, timeout=10)]
            lose(guarded, slot)
            down = told.wait_for("role.down")
            answers += [httpx.get(f"{url}/readyz", timeout=10)]
            process.terminate()
            assert process.wait(60) == 0
    assert down["tags"] == {"event": "role.down", "role": "capture"}
    assert (answers[-1].status_code, answers[-2].status_code) == (503, 400)
    said = (tmp_path / "out").read_text() + "".join(f"{each.headers} {each.text}" for each in answers)
    assert "webhook.refused" in said
    assert not SHOWN.search(said + "".join(told.bodies))


def lose(database: str, slot: str) -> None:
    """Somebody drops the slot that is being read."""
    with psycopg.connect(database, autocommit=True) as connection:
        reading = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s AND active_pid IS NOT NULL"
        while not (found := connection.execute(reading, [slot]).fetchone()):
            time.sleep(0.02)
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", found)
        connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])
