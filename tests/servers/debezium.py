"""A real Debezium Server 3.6, fetched with Maven when it is asked for: 780 MB, so only benchmarks and long tests do."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.servers import connect, maven
from tests.servers.shared import REPOSITORY, die_with_parent

ARTIFACT = f"io.debezium:debezium-server-dist:{connect.DEBEZIUM}:tar.gz"

TUNED = {
    "debezium.source.max.batch.size": "8192",
    "debezium.source.max.queue.size": "32768",
    "debezium.source.poll.interval.ms": "1",
    "debezium.sink.kafka.producer.linger.ms": "0",
    "debezium.sink.kafka.producer.batch.size": "524288",
}
"""What makes it both quick and fast: with its defaults a change takes a quarter of a second."""


@contextlib.contextmanager
def running(folder: Path, kafka: str, source: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server that reads one database (``source`` as ``connect.source_settings``) into Kafka, plain JSON.

    It is starting when the block begins: whoever reads its slot can be asked of the database.
    """
    home = fetched()
    (folder / "config").mkdir()
    lines = {
        "debezium.sink.type": "kafka",
        "debezium.sink.kafka.producer.bootstrap.servers": kafka,
        "debezium.sink.kafka.producer.key.serializer": "org.apache.kafka.common.serialization.StringSerializer",
        "debezium.sink.kafka.producer.value.serializer": "org.apache.kafka.common.serialization.StringSerializer",
        "debezium.format.key": "json",
        "debezium.format.value": "json",
        "debezium.format.key.schemas.enable": "false",
        "debezium.format.value.schemas.enable": "false",
        "debezium.source.offset.storage.file.filename": str(folder / "offsets"),
        "debezium.source.offset.flush.interval.ms": "1000",
        "quarkus.http.port": "0",
        "quarkus.log.level": "WARN",
        **TUNED,
        **{f"debezium.source.{name}": value for name, value in source.items()},
    }
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    (folder / "config" / "application.properties").write_text(text)
    (runner,) = home.glob("debezium-server-dist-*runner.jar")
    classes = os.pathsep.join([str(runner), str(folder / "config"), f"{home / 'lib'}/*"])
    # As much memory as it makes use of: Java would take a quarter of the machine's.
    options = ["--add-opens", "java.base/java.lang=ALL-UNNAMED", "-Xmx1g"]
    with (folder / "debezium.log").open("ab") as log:
        process = subprocess.Popen(
            [*connect.java(folder, *options), "-cp", classes, "io.debezium.server.Main"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def fetched() -> Path:
    """The folder of the distribution."""
    return maven.unpacked(REPOSITORY / ".cache" / "debezium" / f"server-{connect.DEBEZIUM}", ARTIFACT)
