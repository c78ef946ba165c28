"""HTTP/1.1 on one connection: uvicorn's, with limits for a request's head and problem details for what is no HTTP."""

from __future__ import annotations

import asyncio
import resource
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bothways.api.problems import Problem

HEAD_SECONDS = 20.0
"""So long a client may take for a request's head."""
HEAD_BYTES = 64 * 1024
TAKE_SECONDS = 20.0
"""A client that takes nothing of its answer for so long is gone, or does it on purpose."""
REQUESTS_AHEAD = 8
"""So many may be sent before the one in work is answered: each takes kilobytes, and thousands fit into one read."""
CONNECTIONS = 1024
"""Open connections at a time, where the process may have twice as many files; half of what it may, otherwise."""


class PatientProtocol(HttpToolsProtocol):
    """Uvicorn has a time-out between requests, and none for a head that never ends; its parser takes heads of any size.

    A connection is closed when it takes longer than ``head_seconds`` for a head (or for the rest of a body that was
    answered already), told so when the head is larger than ``HEAD_BYTES``, and closed when its answer is not taken for
    ``take_seconds``. Where there is no room for a new connection, the one that has been idle for the longest time makes
    room, those that do not take their answers counted; when all are at work, the new one is closed.
    """

    head_seconds = HEAD_SECONDS
    take_seconds = TAKE_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._untaken_bytes = 0
        self._in_head = True
        self._head_bytes = 0
        self._idle_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        if len(self.connections) > _most_connections():
            self._longest_idle().transport.abort()
        if not transport.is_closing():
            self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._timer is None and self._nobody_answers():
            self._start_timer()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self._refuse(Problem(431, f"The request's head is larger than {HEAD_BYTES} bytes."))

    def on_headers_complete(self) -> None:
        """The head is here."""
        if b"#" in self.url:  # what stands before it would be asked for, which nobody can have meant
            raise ValueError("a request's target has no fragment")
        if len(self.pipeline) >= REQUESTS_AHEAD:
            raise ValueError("too many requests ahead of their answers")
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is here, too; what follows is another request."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out; a pause before the next request is for uvicorn to time."""
        self._stop_timer()
        self._idle_since = self.loop.time()
        super().on_response_complete()
        self._watch_answer()

    def pause_writing(self) -> None:
        """More of the answer waits than the transport wants to hold."""
        super().pause_writing()
        self._watch_answer()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._refuse(Problem(400, msg, hint="A line, a length or a chunk is not as HTTP/1.1 has it."))

    def _nobody_answers(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request, whatever its type says
        return cycle is None or cycle.response_complete

    def _longest_idle(self) -> PatientProtocol:
        """The connection that is missed the least; this one where all others are at work."""
        others = (cast(PatientProtocol, each) for each in self.connections)
        idle = (
            each
            for each in others
            if (each._nobody_answers() or each.flow.write_paused) and not each.transport.is_closing()
        )
        return min(idle, key=lambda each: each._idle_since, default=self)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_answer(self) -> None:
        """See to it that what is written goes out: also a connection that is closed waits for that, for ever."""
        self._untaken_bytes = self.transport.get_write_buffer_size()
        if self._untaken_bytes and self._watch is None:
            self._watch = self.loop.call_later(self.take_seconds, self._check_answer)

    def _check_answer(self) -> None:
        self._watch = None
        if self.transport.get_write_buffer_size() < self._untaken_bytes:
            self._watch_answer()
        else:
            self.transport.abort()

    def _refuse(self, problem: Problem) -> None:
        """Say why, unless an answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self._nobody_answers() or not self.cycle.response_started:
            response = problem.response()
            lines = [f"HTTP/1.1 {response.status_code} {problem.title}".encode()]
            lines += [name + b": " + value for name, value in [*response.raw_headers, (b"connection", b"close")]]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(response.body))
        self.transport.close()
        self._watch_answer()


def allow_files() -> None:
    """Let the process have the files that its connections need, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 2 * CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _most_connections() -> int:
    """The process needs files for more than its clients: its database, its log."""
    may, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if may == resource.RLIM_INFINITY else min(CONNECTIONS, may // 2)
