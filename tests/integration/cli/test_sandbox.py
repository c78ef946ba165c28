"""`sandbox stripe`: a stand-in for anybody's tests."""

from __future__ import annotations

import signal
import socket

import httpx

from bothways.cli import exits
from tests.integration.cli.program import SECONDS, Program


def test_it_serves_until_it_is_told_to_stop(program: Program) -> None:
    """It needs no settings, says where it listens, and ends cleanly on SIGTERM."""
    (program.folder / "bothways.toml").unlink()
    with program.running("sandbox", "stripe", "--listen", "127.0.0.1:0", "--rate", "0") as process:
        assert process.stdout is not None  # left open: closed, what it says next would end it
        said = process.stdout.readline()
        url = next(word.rstrip(";") for word in said.split() if word.startswith("http://"))
        made = httpx.post(f"{url}/v1/customers", auth=("sk_test_any", ""), data={"name": "Ada"})
        assert made.status_code == 200
        assert made.json()["name"] == "Ada"
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == exits.OK


def test_an_address_that_is_taken_is_said(program: Program) -> None:
    """In one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = program.installed("sandbox", "stripe", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert refused.code == exits.FAILED
    assert "cannot listen on" in refused.err
    assert "Traceback" not in refused.err
