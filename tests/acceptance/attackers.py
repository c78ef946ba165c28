"""What attackers send, and somebody who means well meanwhile."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import httpx

from tests.acceptance import topics
from tests.acceptance.installation import Installation

KEY = "correct-horse-battery-staple"
SECONDS = 60.0
"""Nothing here takes that long on a machine that has other things to do."""

SQL = (
    "'; DROP TABLE customers; --",
    "' OR '1'='1",
    '"; DELETE FROM customers; --',
    "1); INSERT INTO customers (name) VALUES ('injected'); --",
    "x' UNION SELECT secret FROM bothways.link --",
    "$$; SELECT pg_sleep(30); $$",
    "\\'; SELECT pg_sleep(30); --",
    "%s %(name)s {name} :name $1 ?",
)
TEXTS = (
    *("", " ", "0", "-1", "9" * 30, "1e400", "NaN", "null", "true", "../../etc/passwd", "..%2f..%2f", "%00", "a\x00b"),
    *(
        "\u202e\ufeff\u0000",
        "\ud83d\ude00" * 200,
        "x" * 20_000,
        "é\u0301",
        "<script>",
        "{{7*7}}",
        "\r\nSet-Cookie: a=b",
    ),
)
JSON = (
    *(
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b'{"name":}',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"\x00",
        b"{}}",
    ),
    *(b'{"name":NaN}', b'{"points":Infinity}', b'{"points":1e400}', b'{"points":' + b"9" * 5000 + b"}"),
    *(
        b'{"name":"a","name":"b"}',
        b'{"name":"\xff"}',
        b'{"name":"\\u0000"}',
        b'{"name":"\\ud800"}',
        b'{"name":"a\x00b"}',
    ),
    *(b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * 100_000, b'{"a":' * 100_000, b'{"id":{"$gt":""}}'),
    *(b'{"name":{"a":{"b":"c"}}}', b'{"points":"1; DROP TABLE customers"}', b'{"__proto__":{"name":"x"}}', b'{"":1}'),
    *(
        b'{"' + b"k" * 100_000 + b'":1}',
        b"{" + b",".join(b'"k%d":1' % n for n in range(20_000)) + b"}",
        b"[" + b"1," * 200_000 + b"1]",
    ),
)


def exchange(port: int, raw: bytes, *, timeout: float = SECONDS) -> list[int]:
    """The statuses of all answers to these bytes on a connection of their own, up to its end or ``timeout``."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        # Whoever is refused in the middle is cut off while sending: what was said until then counts.
        with contextlib.suppress(ConnectionError):
            connection.sendall(raw)
        connection.settimeout(timeout)
        with contextlib.suppress(ConnectionError, TimeoutError):
            while chunk := connection.recv(65_536):
                received += chunk
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]


def head(method: str, path: str, *headers: bytes, key: str | None = KEY, close: bool = True) -> bytes:
    """A request's head up to its end."""
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: localhost", b"Content-Type: application/json", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}".encode())
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(path: str, body: bytes, *headers: bytes, method: str = "POST", key: str | None = KEY) -> bytes:
    """A request with a body."""
    return head(method, path, b"Content-Length: %d" % len(body), *headers, key=key) + body


@contextlib.contextmanager
def nothing_is_written(target: Installation) -> Iterator[None]:
    """Rows, log, Stripe and dead letters are afterwards as they were before."""

    def seen() -> Any:
        return target.rows(), topics.ends(target), target.customers(), len(target.letters())

    before = seen()
    yield
    assert seen() == before


def memory_bytes(target: Installation) -> int:
    """What ``bothways up`` has in memory."""
    with open(f"/proc/{target.processes['up'].pid}/statm") as numbers:
        return int(numbers.read().split()[1]) * 4096


@dataclass
class Bystander:
    """Uses the service as it is meant, on connections of their own, while others attack."""

    target: Installation
    row: int
    done: int = 0
    longest_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def use(self) -> None:
        """Each thing once."""
        headers = {"Authorization": f"Bearer {KEY}"}
        for method, path, more in (
            ("GET", "/healthz", {}),
            ("GET", f"/v1/records/customer/{self.row}", {"headers": headers}),
            ("PATCH", f"/v1/records/customer/{self.row}", {"headers": headers, "json": {"tier": f"visit {self.done}"}}),
        ):
            began = time.monotonic()
            said = [self._ask(method, path, **more)]
            if said == ["cut off"]:  # connections that come at a time can push each other out: clients try again
                said.append(self._ask(method, path, **more))
            if said[-1] != "200":
                self.wrong.append(f"{method} {path}: {said}")
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
            self.done += 1

    def _ask(self, method: str, path: str, **more: Any) -> str:
        try:
            url = f"http://127.0.0.1:{self.target.port}{path}"
            return str(httpx.request(method, url, timeout=SECONDS, **more).status_code)
        except httpx.NetworkError:
            return "cut off"
        except httpx.TransportError as error:
            return repr(error)


@contextlib.contextmanager
def bystander(target: Installation, row: int) -> Iterator[Bystander]:
    """Somebody uses the service during the block, is served each time, and waits for no attacker."""
    somebody, over = Bystander(target, row), Event()

    def run() -> None:
        while not over.wait(0.05):
            somebody.use()

    thread = Thread(target=run)
    thread.start()
    try:
        yield somebody
        somebody.target.until(lambda: somebody.done >= 6, "somebody was served", SECONDS)
    finally:
        over.set()
        thread.join()
    assert somebody.wrong == []
    assert somebody.longest_seconds < 30
