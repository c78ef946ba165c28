"""A server that takes what Sentry's clients send: the envelope endpoint, and no more.

Source of the format: Sentry's developer documentation, "Envelopes".
"""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Taken:
    """What came."""

    port: int
    bodies: list[str] = field(default_factory=list)
    """Whole requests, unpacked."""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    @property
    def dsn(self) -> str:
        """Where clients send."""
        return f"http://publickey@127.0.0.1:{self.port}/7"

    def events(self) -> list[dict[str, Any]]:
        """The events in them."""
        return [json.loads(body.splitlines()[2]) for body in self.bodies if '"type":"event"' in body]

    def wait_for(self, message: str, seconds: float = 60.0) -> dict[str, Any]:
        """The first event with this message."""
        with self.arrived:
            found = self.arrived.wait_for(lambda: [e for e in self.events() if e["message"] == message], seconds)
        assert found, self.bodies
        event: dict[str, Any] = found[0]
        return event


@contextlib.contextmanager
def running() -> Iterator[Taken]:
    """Such a server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            known = self.path == "/api/7/envelope/" and "sentry_key=publickey" in self.headers["X-Sentry-Auth"]
            with taken.arrived:
                taken.bodies.append(body.decode() if known else f"not for us: {self.path}")
                taken.arrived.notify_all()
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Taken(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()
