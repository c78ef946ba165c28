"""A TCP proxy for tests, so that what stands behind it can be away without being stopped."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

from tests.servers.shared import free_ports

BYTES = 65_536


class Proxy:
    """Passes bytes on; ``refuse`` and ``stall`` are the two ways of being away, ``work`` ends both."""

    def __init__(self, target: str) -> None:
        """``target`` as ``host:port``."""
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self.port = free_ports(1)[0]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._passing = threading.Event()
        self._listener: socket.socket | None = None
        self.work()

    def work(self) -> None:
        """Everything goes through, what was stalled first."""
        self._passing.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Connections are cut, and new ones refused."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes whoever accepts
            self._listener.close()
            self._listener = None
        self._passing.set()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def stall(self) -> None:
        """Connections are taken, and nothing goes through."""
        self._passing.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            with self._lock:
                self._open |= {caller, server}
            threading.Thread(target=self._pass, args=(caller, server), daemon=True).start()

    def _pass(self, caller: socket.socket, server: socket.socket) -> None:
        other = {caller: server, server: caller}
        with selectors.DefaultSelector() as ready, contextlib.suppress(OSError):
            for each in other:
                ready.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(BYTES)
                    self._passing.wait()
                    if not data:
                        return self._end(caller, server)
                    other[key.fileobj].sendall(data)
        return self._end(caller, server)

    def _end(self, *both: socket.socket) -> None:
        with self._lock:
            self._open -= {*both}
        for each in both:
            each.close()


@contextlib.contextmanager
def proxy_to(target: str) -> Iterator[Proxy]:
    """One for as long as the block lasts."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.refuse()
