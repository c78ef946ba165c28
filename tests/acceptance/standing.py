"""Installations that stay up for a whole module of tests, each with a sandbox of its own, started by our program."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.acceptance.installation import BOTHWAYS, Installation, installed
from tests.servers.postgres import database_on
from tests.servers.sandbox import SandboxAdmin, SandboxProcess
from tests.servers.shared import die_with_parent


@contextlib.contextmanager
def sandbox(folder: Path, *options: str) -> Iterator[SandboxProcess]:
    """``bothways sandbox stripe`` on a free port; without a rate limit unless the options set one."""
    command = [
        str(BOTHWAYS),
        "sandbox",
        "stripe",
        "--listen",
        "127.0.0.1:0",
        "--rate",
        "0",
        "--backoff",
        "0.05",
        *options,
    ]
    with (folder / "sandbox.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder, preexec_fn=die_with_parent
        )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        url = next(word for word in said.split() if word.startswith("http://")).rstrip(";")
        with contextlib.closing(SandboxAdmin(url)) as admin:
            yield SandboxProcess(url, admin)
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.stdout.close()


@contextlib.contextmanager
def prepared(
    folder: Path, server: str, *, sandbox_options: tuple[str, ...] = (), **more: Any
) -> Iterator[Installation]:
    """An installation with a database on this server; nothing of it runs yet. ``more``: as for ``installed``."""
    with (
        database_on(server) as database,
        sandbox(folder, *sandbox_options) as stripe,
        installed(folder, database, stripe, **more) as installation,
    ):
        yield installation


@contextlib.contextmanager
def standing(
    folder: Path, server: str, *, sandbox_options: tuple[str, ...] = (), **more: Any
) -> Iterator[Installation]:
    """The same, with ``bothways up`` at work."""
    with prepared(folder, server, sandbox_options=sandbox_options, **more) as installation:
        installation.start()
        installation.wait_ready()
        yield installation
