"""A real webhook receiver: keeps what it is sent and answers as it is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import stripe

HTTP = {200: "OK", 302: "Found", 400: "Bad Request", 500: "Internal Server Error"}


@dataclass(frozen=True, slots=True)
class Taken:
    """One delivery."""

    signature: str
    body: str

    @property
    def event(self) -> dict[str, Any]:
        return dict(stripe.Webhook.construct_event_without_verification(self.body).to_dict())


@dataclass(slots=True)
class Receiver:
    """What came, and what to answer next."""

    url: str = ""
    taken: list[Taken] = field(default_factory=list)
    statuses: deque[int] = field(default_factory=deque)
    """What the next deliveries are answered; 200 when there is none."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing is answered while it is not set."""
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    def types(self) -> list[str]:
        """The types of the events, in the order of their coming."""
        return [str(each.event["type"]) for each in self.taken]

    async def wait_for(self, count: int, timeout: float = 10) -> list[Taken]:
        """Wait until so many have come."""
        async with asyncio.timeout(timeout), self._came:
            await self._came.wait_for(lambda: len(self.taken) >= count)
        return self.taken

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode("latin-1"), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass  # the sandbox is done with this connection
        finally:
            writer.close()

    async def _answer(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        async with self._came:
            self.taken.append(Taken(headers["stripe-signature"], body.decode()))
            self._came.notify_all()
        await self.gate.wait()
        status = self.statuses.popleft() if self.statuses else 200
        location = "Location: /elsewhere\r\n" if status == 302 else ""
        writer.write(f"HTTP/1.1 {status} {HTTP[status]}\r\n{location}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver()
    receiver.gate.set()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.close()
