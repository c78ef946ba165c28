"""Servers that tests share start once and leave with their last user, however that one ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.shared import REPOSITORY, die_with_parent, joined

MODULE = "tests.integration.test_shared_servers"
USER = f"""
import pathlib, sys
from tests.servers.shared import joined

with joined(pathlib.Path(sys.argv[1]), {MODULE!r}) as address:
    print(address, flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """The server of these tests: a process that sleeps; its address is its process id."""
    with (folder / "starts").open("a") as starts:
        starts.write("x")
    process = subprocess.Popen(["sleep", "600"], preexec_fn=die_with_parent)
    try:
        yield str(process.pid)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def user(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that uses the server, as pytest-xdist's workers do; and the address that it got."""
    command = [sys.executable, "-c", USER, str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def lives(pid: int) -> bool:
    """Whether the process is there, and no zombie."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_for_the_keepers_end(folder: Path) -> None:
    """It holds this lock as long as it lives."""
    with (folder / "test_shared_servers.alive").open("a") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)


def test_all_users_share_one_server_and_the_last_one_stops_it(tmp_path: Path) -> None:
    """The first to come starts it; it outlives that one; when the last leaves it is gone, and can be had anew."""
    with joined(tmp_path, MODULE) as mine:
        with user(tmp_path) as (process, theirs):
            assert theirs == int(mine)
            process.communicate("leave\n", timeout=20)
        assert lives(int(mine))
    assert not lives(int(mine))
    assert (tmp_path / "test_shared_servers-data" / "starts").read_text() == "x"
    with joined(tmp_path, MODULE) as again:
        assert again != mine
        assert lives(int(again))
    assert not lives(int(again))


def test_a_killed_user_leaves_nothing_behind(tmp_path: Path) -> None:
    """Nobody said goodbye, and still the server goes."""
    with user(tmp_path) as (process, address):
        assert lives(address)
        os.kill(process.pid, signal.SIGKILL)
        wait_for_the_keepers_end(tmp_path)
    assert not lives(address)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The test that wanted it fails with the server's own words."""
    with (
        pytest.raises(RuntimeError, match=r"No module named 'tests\.servers\.nothing'"),
        joined(tmp_path, "tests.servers.nothing"),
    ):
        pass
