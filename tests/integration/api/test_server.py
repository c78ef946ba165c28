"""The server as a role: its address, its patience with slow clients, its stop."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from bothways.api import protocol
from bothways.api.app import create_app
from bothways.api.requests import Limits
from bothways.api.server import HttpServer
from bothways.insight.metrics import Metrics
from bothways.model.errors import SettingsError
from tests.integration.api.serving import SECONDS, MemoryRecords, client, exchange, serving


class Slow:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.set()
        await self.let.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def test_a_port_in_use_is_refused() -> None:
    """Whoever listens there: another program, or another server of ours, which the kernel would let share the port."""
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SettingsError, match="cannot listen on"):
        HttpServer(Slow(), "127.0.0.1", other.getsockname()[1]).claim()
    async with serving(Slow()) as server:
        with pytest.raises(SettingsError, match="Address already in use"):
            HttpServer(Slow(), *server.address).claim()
        with pytest.raises(SettingsError, match="Address already in use"):
            await HttpServer(Slow(), *server.address).run()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    """With what to do about it."""
    with pytest.raises(SettingsError, match="set another"):
        HttpServer(Slow(), host, 0).claim()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1"])
async def test_it_listens_where_it_is_told(host: str) -> None:
    """Names, IPv4 and IPv6; port 0 becomes a port that can be asked for."""
    app = create_app(metrics=Metrics(), health=dict)
    server = HttpServer(app, host, 0)
    port = server.address[1]
    running = asyncio.create_task(server.run())
    async with asyncio.timeout(SECONDS):
        while server.ready() is not None:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.005)
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in await reader.read()
        writer.close()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_stop_answers_what_was_asked() -> None:
    """On cancellation the address is free at once for the next; requests in work get their answer first."""
    app = Slow()
    server = HttpServer(app, "127.0.0.1", 0)
    address = server.address
    running = asyncio.create_task(server.run())
    async with asyncio.timeout(SECONDS):
        while server.ready() is not None:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.005)
        reader, writer = await asyncio.open_connection(*address)
        idle_reader, idle_writer = await asyncio.open_connection(*address)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await app.asked.wait()
        running.cancel()
        assert await idle_reader.read() == b""
        assert not running.done()
        app.let.set()
        assert (await reader.read()).endswith(b"\r\n\r\nok")
        with pytest.raises(asyncio.CancelledError):
            await running
        writer.close()
        idle_writer.close()
    assert server.ready() is not None
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    again = HttpServer(app, *address)
    again.claim()
    again.release()


async def test_it_can_run_again() -> None:
    """A supervisor may start the same server again after its end."""
    app = Slow()
    app.let.set()
    server = HttpServer(app, "127.0.0.1", 0)
    for _ in range(3):
        running = asyncio.create_task(server.run())
        async with asyncio.timeout(SECONDS):
            while server.ready() is not None:  # noqa: ASYNC110 - a state, not an event
                await asyncio.sleep(0.005)
            status, _, body = await exchange(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, body) == (200, b"ok")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_head_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    """Clients that open connections and say nothing, or never finish, do not keep them."""
    async with serving(create_app(metrics=Metrics(), health=dict), head_seconds=0.2) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(sent)
        async with asyncio.timeout(SECONDS):
            await reader.read()
        writer.close()


async def test_a_body_that_does_not_come_is_given_up() -> None:
    """408 after the time for a body, however slowly it drips; nothing is written; others are served meanwhile."""
    records = MemoryRecords()
    app = create_app(metrics=Metrics(), health=dict, records=records, limits=Limits(body_seconds=0.3))
    async with serving(app) as server, client(server) as http:
        reader, writer = await asyncio.open_connection(*server.address)
        head = b"POST /v1/records/customer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(head + b'Content-Length: 50\r\n\r\n{"na')
        assert (await http.get("/healthz")).status_code == 200
        async with asyncio.timeout(SECONDS):
            assert b" 408 " in await reader.readline()
        writer.close()
    assert records.writes == 0


async def test_the_rest_of_an_answered_body_is_not_waited_for() -> None:
    """A client that goes on dripping after its 408 loses the connection."""
    app = create_app(metrics=Metrics(), health=dict, records=MemoryRecords(), limits=Limits(body_seconds=0.1))
    async with serving(app, head_seconds=0.2) as server, asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection(*server.address)
        head = b"POST /v1/records/customer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(head + b'Content-Length: 50\r\n\r\n{"na')
        assert b" 408 " in await reader.readline()
        writer.write(b"me")
        with suppress(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_head_has_a_size() -> None:
    """431 for a head beyond 64 kB that never ends, and the connection is closed."""
    async with serving(create_app(metrics=Metrics(), health=dict)) as server:
        raw = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (protocol.HEAD_BYTES + 1)
        status, headers, body = await exchange(server, raw)
    assert (status, headers["content-type"], headers["connection"]) == (431, "application/problem+json", "close")
    assert json.loads(body)["status"] == 431


async def test_few_requests_can_be_sent_ahead() -> None:
    """What is sent before its turn is kept in memory: a few are answered in order, a flood is cut off."""
    app = Slow()
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(app) as server, asyncio.timeout(SECONDS):
        flooding, its_writer = await asyncio.open_connection(*server.address)
        its_writer.write(request * 5000)
        with suppress(ConnectionResetError):
            assert (await flooding.read()).startswith(b"HTTP/1.1 400 ")
        its_writer.close()
        app.let.set()
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(request * (1 + protocol.REQUESTS_AHEAD))
        for _ in range(1 + protocol.REQUESTS_AHEAD):
            await reader.readuntil(b"\r\n\r\nok")
        writer.close()


async def test_a_target_with_a_fragment_is_refused() -> None:
    """It is no request, and what stands before the # is nothing that anybody asked for."""
    async with serving(create_app(metrics=Metrics(), health=dict)) as server:
        assert (await exchange(server, b"GET /healthz#x HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 400


async def test_what_is_no_http_is_told_as_a_problem() -> None:
    """Also an answer that no route was asked for has the one shape."""
    async with serving(create_app(metrics=Metrics(), health=dict)) as server:
        for raw in (
            b"HELLO\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01",
        ):
            status, headers, body = await exchange(server, raw)
            assert (status, headers["content-type"]) == (400, "application/problem+json")
            assert json.loads(body)["hint"]


async def test_the_longest_idle_connection_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are open and say nothing: whoever comes is served, and whoever is being served is let alone."""
    app = Slow()
    monkeypatch.setattr(protocol, "CONNECTIONS", 3)
    async with serving(app) as server, asyncio.timeout(SECONDS):
        at_work, its_writer = await asyncio.open_connection(*server.address)
        its_writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await app.asked.wait()
        silent = [await asyncio.open_connection(*server.address) for _ in range(6)]
        for reader, _ in silent[:4]:
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        app.let.set()
        last, last_writer = silent[-1]
        for reader, writer in ((at_work, its_writer), (last, last_writer)):
            if writer is last_writer:
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        for writer in (its_writer, *(each for _, each in silent)):
            writer.close()


async def test_connections_beyond_the_limit_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all are at work a new one finds no room; when one has its answer there is room again."""
    app = Slow()
    monkeypatch.setattr(protocol, "CONNECTIONS", 1)
    async with serving(app) as server, asyncio.timeout(SECONDS):
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(request)
        await app.asked.wait()
        assert (await exchange(server, request))[0] == 0
        app.let.set()
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        while (await exchange(server, request))[0] != 200:
            pass
        writer.close()


def test_connections_leave_files_for_the_rest() -> None:
    """A process that may have few files takes few connections: it needs others for its database and log."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))\n"
        "from bothways.api import protocol; protocol.allow_files(); print(protocol._most_connections())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "50\n"


async def test_an_answer_that_nobody_takes_is_given_up() -> None:
    """A client that asks and does not read loses the connection, also where it asked for it to be closed."""
    ended = asyncio.Event()

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        size = 100_000_000
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    for asked in (b"keep-alive", b"close"):
        ended.clear()
        async with serving(large, take_seconds=0.1) as server, asyncio.timeout(SECONDS):
            with socket.create_connection(server.address) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: " + asked + b"\r\n\r\n")
                await ended.wait()


async def test_a_body_without_a_length_has_the_same_limit() -> None:
    """A chunked body is cut off at the limit, not at the memory's end."""
    app = create_app(metrics=Metrics(), health=dict, records=MemoryRecords(), limits=Limits(body_bytes=1000))

    async with serving(app) as server:
        chunk = b"3e8\r\n" + b" " * 1000 + b"\r\n"
        head = b"POST /v1/records/customer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        status, headers, _ = await exchange(server, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    assert status == 413
    assert headers["content-type"] == "application/problem+json"


async def test_an_error_that_nobody_foresaw_tells_nothing() -> None:
    """500 as a problem document without the error's text; the next request is served."""

    class Broken(MemoryRecords):
        async def delete(self, entity: str, key: str) -> str:
            raise ZeroDivisionError("postgresql://app:password@host/db")

    app = create_app(metrics=Metrics(), health=dict, records=Broken())
    async with serving(app) as server, client(server) as http:
        with capture_logs() as logs:
            answer = await http.delete("/v1/records/customer/1")
        assert [entry["event"] for entry in logs] == ["http.failed"]
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
        assert "password" not in answer.text
        assert (await http.get("/healthz")).status_code == 200


async def test_readiness_says_what_is_missing() -> None:
    """200 when every role does its work, else 503 with each reason; alive either way."""
    roles: dict[str, str | None] = {"deliver": "down: the key is refused", "capture": None}
    async with serving(create_app(metrics=Metrics(), health=lambda: roles)) as server, client(server) as http:
        waiting = await http.get("/readyz")
        assert (waiting.status_code, waiting.json()["roles"]) == (503, roles)
        assert (await http.get("/healthz")).status_code == 200
        assert 'bothways_role_ready{role="deliver"} 0.0' in (await http.get("/metrics")).text
        roles["deliver"] = None
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "roles": roles, "paused": {}})


async def test_the_reference_is_served() -> None:
    """``/docs`` as a page that may load nothing, ``/openapi.json`` for programs."""
    async with serving(create_app(metrics=Metrics(), health=dict)) as server, client(server) as http:
        page = await http.get("/docs")
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.")
