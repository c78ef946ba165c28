"""A server that starts once per pytest run, whoever needs it first, and that outlives nobody who uses it.

A server is named by the module that starts it, ``tests.servers.kafka``; one of several of its kind by module and
variant, ``tests.servers.postgres:14``. A run is one folder. Its processes (pytest-xdist's workers) share what stands in
it, where NAME is ``kafka`` or ``postgres:14``::

    NAME.start    locked while somebody looks whether the server is there, or starts it
    NAME.users    locked (shared) by everybody who uses the server; the kernel lets go for whoever dies
    NAME.alive    locked by the keeper as long as it lives
    NAME.json     the keeper's process id and the server's address, once it answers
    NAME.log      what the keeper and the server said

The keeper is a process of its own, so that the server belongs to no worker. It waits for the exclusive lock on
``NAME.users``: when it gets that, nobody is left, whether they ended well or were killed, and it stops the server.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol, cast

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


class ServerModule(Protocol):
    """A module of this package that can start its server."""

    def running(self, folder: Path, /, *variant: str) -> AbstractContextManager[str]:
        """The server, its data in the folder; gives its address when it answers. ``variant``: where it was named."""
        ...


@contextlib.contextmanager
def shared_server(factory: pytest.TempPathFactory, module: str) -> Iterator[str]:
    """The address of this run's one server of that module (``tests.servers.kafka``); for fixtures of scope session."""
    base = factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with joined(folder, module) as address:
        yield address


@contextlib.contextmanager
def joined(folder: Path, module: str) -> Iterator[str]:
    """Use the server of this folder, starting it if nobody has; the last one to leave waits until it is gone."""
    name = module.rpartition(".")[2]
    with (folder / f"{name}.users").open("a") as users, (folder / f"{name}.start").open("a") as start:
        fcntl.flock(users, fcntl.LOCK_SH)
        with locked(start):
            address = _address(folder, name) or _start_keeper(folder, module, name)
        try:
            yield address
        finally:
            with locked(start):
                _leave(folder, name, users)


@contextlib.contextmanager
def locked(file: IO[str]) -> Iterator[None]:
    """The exclusive lock on an open file."""
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def die_with_parent() -> None:
    """For ``preexec_fn``: the kernel kills this process when the one that started it is gone (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _address(folder: Path, name: str) -> str | None:
    """The address of a server whose keeper lives."""
    if not (folder / f"{name}.json").exists() or not _is_locked(folder / f"{name}.alive"):
        return None
    return str(json.loads((folder / f"{name}.json").read_text())["address"])


def _is_locked(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _start_keeper(folder: Path, module: str, name: str) -> str:
    """Start the keeper and wait for its word, one line on a pipe: the server answers. Its end is the other answer."""
    (folder / f"{name}.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.servers.shared", module, str(folder)]
    with (folder / f"{name}.log").open("ab") as log:
        keeper = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for pytest; the keeper goes when its users have gone
        )
    assert keeper.stdout is not None
    with keeper.stdout:
        if not keeper.stdout.readline():
            keeper.wait()
            raise RuntimeError(f"{name} did not start:\n{(folder / f'{name}.log').read_text()[-3000:]}")
    # The keeper outlives this object on purpose: it belongs to whoever leaves last.
    keeper.returncode = 0
    address = _address(folder, name)
    assert address is not None
    return address


def _leave(folder: Path, name: str, users: IO[str]) -> None:
    """Let go of the server; if nobody else uses it, stop it and wait for its end."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not _is_locked(folder / f"{name}.users"):
            return  # others use it; closing the file lets go
        # Trading one lock for the other leaves a gap in which the keeper may have got it: it is stopping already.
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it is gone by itself
        os.kill(json.loads((folder / f"{name}.json").read_text())["pid"], signal.SIGTERM)
    with (folder / f"{name}.alive").open("a") as alive:
        fcntl.flock(alive, fcntl.LOCK_SH)


def _keep(module_name: str, folder: Path) -> None:
    """The keeper: start, say so, wait until nobody uses the server, stop."""
    name = module_name.rpartition(".")[2]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    module_path, *variant = module_name.split(":")
    module = cast(ServerModule, importlib.import_module(module_path))
    data = folder / f"{name}-data"
    data.mkdir(exist_ok=True)
    with (folder / f"{name}.alive").open("a") as alive, (folder / f"{name}.users").open("a") as users:
        fcntl.flock(alive, fcntl.LOCK_EX)
        with module.running(data, *variant) as address:
            announcement = folder / f"{name}.json"
            announcement.with_suffix(".new").write_text(json.dumps({"pid": os.getpid(), "address": address}))
            announcement.with_suffix(".new").rename(announcement)
            sys.stdout.write(f"{address}\n")
            sys.stdout.flush()
            fcntl.flock(users, fcntl.LOCK_EX)
            announcement.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Keep a server for the tests that use it.")
    parser.add_argument("module")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    _keep(arguments.module, arguments.folder)
