"""An app on a real socket, and records that lie in memory."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.types import ASGIApp

from bothways.api.server import HttpServer
from bothways.model.errors import NoSuchRecord, RowRefused, UnknownEntity
from bothways.model.values import Values
from bothways.ports import RecordPage, Written

SECONDS = 10.0
"""Nothing here takes that long."""


@asynccontextmanager
async def serving(app: ASGIApp, *, head_seconds: float = 20.0, take_seconds: float = 20.0) -> AsyncIterator[HttpServer]:
    """The app served on a free port of loopback, until the block ends."""
    server = HttpServer(app, "127.0.0.1", 0, head_seconds=head_seconds, take_seconds=take_seconds)
    running = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(SECONDS):
            while server.ready() is not None and not running.done():  # noqa: ASYNC110 - a state, not an event
                await asyncio.sleep(0.005)
        yield server
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def client(server: HttpServer, **headers: str) -> httpx.AsyncClient:
    """A client of that server."""
    host, port = server.address
    return httpx.AsyncClient(base_url=f"http://{host}:{port}", headers=headers, timeout=SECONDS)


async def exchange(server: HttpServer, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send these bytes and read one answer up to its end: status, headers, body. Status 0: closed without an answer."""
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        async with asyncio.timeout(SECONDS):
            writer.write(raw)
            status, headers = await _read_head(reader)
            while status == 100:
                status, headers = await _read_head(reader)
            length = 0 if raw.startswith(b"HEAD ") else int(headers.get("content-length", "0"))
            return status, headers, await reader.readexactly(length)
    finally:
        writer.close()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, {}
    first, *lines = head.decode("latin-1").split("\r\n")
    found = re.match(r"HTTP/1\.[01] (\d{3})", first)
    assert found, first
    return int(found[1]), {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines if line)}


class MemoryRecords:
    """Records of one entity, ``customer``, as ``ports.Records`` says."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, object]] = {}
        self.writes = 0
        self._answers: dict[str, tuple[str, Written]] = {}
        self._lock = asyncio.Lock()

    async def list(self, entity: str, limit: int, cursor: str | None) -> RecordPage:
        self._known(entity)
        if cursor is not None and not cursor.isdecimal():
            raise RowRefused("this cursor is none of ours", field="cursor")
        later = [key for key in sorted(self.rows) if key > int(cursor or 0)]
        page = later[:limit]
        return RecordPage([self._row(key) for key in page], str(page[-1]) if len(later) > limit else None)

    async def get(self, entity: str, key: str) -> Values:
        self._known(entity)
        return self._row(self._number(key))

    async def write(
        self, entity: str, key: str | None, values: Values, *, idempotency_key: str | None = None
    ) -> Written:
        self._known(entity)
        async with self._lock:
            asked = json.dumps([key, values], sort_keys=True)
            if idempotency_key is not None and idempotency_key in self._answers:
                before, answer = self._answers[idempotency_key]
                if before != asked:
                    raise RowRefused("this Idempotency-Key was used with another request")
                return Written(answer.row, answer.token, repeated=True)
            await asyncio.sleep(0)
            number = len(self.rows) + 1 if key is None else self._number(key)
            if "name" in values and not isinstance(values["name"], str):
                raise RowRefused("name must be text", field="name")
            self.rows.setdefault(number, {"id": number}).update(values)
            self.writes += 1
            written = Written(self._row(number), f"token-{self.writes}")
            if idempotency_key is not None:
                self._answers[idempotency_key] = asked, written
            return written

    async def delete(self, entity: str, key: str) -> str:
        self._known(entity)
        del self.rows[self._number(key)]
        self.writes += 1
        return f"token-{self.writes}"

    def _known(self, entity: str) -> None:
        if entity != "customer":
            raise UnknownEntity(f"there is no entity {entity}", hint="there is: customer")

    def _number(self, key: str) -> int:
        if not (key.isascii() and key.isdecimal() and len(key) < 10 and int(key) in self.rows):
            raise NoSuchRecord("there is no such customer")
        return int(key)

    def _row(self, key: int) -> Values:
        row: Values = json.loads(json.dumps(self.rows[key]))
        return row
