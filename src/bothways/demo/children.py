"""The programs that the demo starts: each with a log of its own, each gone with the demo, however that ends."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bothways.demo.failure import NotSeen

STOP_SECONDS = 15
"""So long a program may take to stop before it is killed."""
PORTS = range(20_000, 32_000)
"""Below those from which Linux takes ports for outgoing connections: nobody else comes by one by chance."""
_SET_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of prctl(2)."""


@dataclass(slots=True)
class Child:
    """One program, which may run several times; all that it says goes to one file."""

    name: str
    command: Sequence[str | Path]
    log: Path
    folder: Path
    """Where it works."""
    stop_signal: signal.Signals = signal.SIGTERM
    user: int | None = None
    """Runs as this user id; None: as we do."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self.process.pid if self.process else None

    def start(self) -> None:
        """Start it. Ctrl-C does not reach it: the demo says who stops when."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own programs
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment(),
                start_new_session=True,
                preexec_fn=_goes_with_us(self.stop_signal),
                user=self.user,
                group=self.user,
                extra_groups=no_groups(self.user),
            )

    def check(self) -> None:
        """Raises ``NotSeen`` if it should run and does not."""
        if self.process is not None and (code := self.process.poll()) is not None:
            how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
            raise NotSeen(f"{self.name} {how}")

    def kill(self) -> None:
        """SIGKILL; it is gone on return."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Let it end by itself; it is gone on return."""
        if self.process is None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def last_words(self, lines: int = 12) -> list[str]:
        """The end of its log."""
        if not self.log.exists():
            return []
        return self.log.read_text(errors="replace").splitlines()[-lines:]

    def tell_end(self, ended: Callable[[], None]) -> None:
        """Call this, in a thread, when it ends. Nothing may be started after that."""
        process = self.process
        assert process is not None

        def wait() -> None:
            process.wait()
            ended()

        threading.Thread(target=wait, daemon=True).start()


def program(*arguments: str) -> list[str]:
    """The command that runs ``bothways`` with these arguments, by the same Python as ours."""
    return [sys.executable, "-P", "-m", "bothways.cli", *arguments]


def environment() -> Mapping[str, str]:
    """What programs are started with: nothing of the caller's that bends the way to this machine's own ports."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "BOTHWAYS_"))}
    return kept | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONUNBUFFERED": "1"}


def no_groups(user: int | None) -> list[int] | None:
    """Another user gets none of our groups: ``extra_groups`` of ``subprocess``."""
    return None if user is None else []


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise NotSeen(f"no {count} free ports between {PORTS.start} and {PORTS.stop}")


def _goes_with_us(number: signal.Signals) -> Callable[[], None] | None:
    """On Linux, the kernel sends the program this signal when we are gone, even killed."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_SET_DEATH_SIGNAL, number)
