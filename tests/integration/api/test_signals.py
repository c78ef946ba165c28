"""A process of roles under signals, as a process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bothways.flow.supervise import CLEAN

PROGRAM = """
import asyncio, sys
from bothways.api.app import create_app
from bothways.api.server import HttpServer
from bothways.flow.supervise import Supervisor
from bothways.insight.metrics import Metrics

class Stubborn:
    name = "stubborn"
    def ready(self):
        return None
    async def run(self):
        print("runs", flush=True)
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                print("asked", flush=True)
                if sys.argv[1] == "polite":
                    raise

async def main():
    roles = [Stubborn()]
    server = HttpServer(create_app(metrics=Metrics(), health=lambda: supervisor.ready()), "127.0.0.1", 0)
    supervisor = Supervisor([*roles, server])
    return await supervisor.run()

sys.exit(asyncio.run(main()))
"""


@contextmanager
def process(manner: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a role and an HTTP server, that has begun to run."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, manner], stdout=subprocess.PIPE, text=True) as started:
        try:
            expect(started, "runs")
            yield started
        finally:
            started.kill()


def expect(started: subprocess.Popen[str], line: str) -> None:
    """Read on until the process prints this."""
    assert started.stdout is not None
    for printed in started.stdout:
        if printed.strip() == line:
            return
    raise AssertionError(f"it ended without {line!r}")


def test_sigterm_ends_it_cleanly() -> None:
    """One SIGTERM: every role lets go, exit code 0."""
    with process("polite") as started:
        started.send_signal(signal.SIGTERM)
        expect(started, "asked")
        assert started.wait(10) == CLEAN


def test_a_third_signal_ends_what_hangs() -> None:
    """A role that swallows its cancellation cannot keep the process: after two signals the kernel ends it."""
    with process("rude") as started:
        for _ in range(2):
            started.send_signal(signal.SIGTERM)
            expect(started, "asked")
        started.send_signal(signal.SIGTERM)
        assert started.wait(10) == -signal.SIGTERM
