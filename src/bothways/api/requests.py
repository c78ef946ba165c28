"""What is let in: sizes, times, media types and keys."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import ClientDisconnect

from bothways.api.documents import NotJson, read_object
from bothways.api.problems import Problem
from bothways.model.values import Value

_BEARER = HTTPBearer(auto_error=False, description="One of [http] api_keys: Authorization: Bearer KEY")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="Or in a header of its own: X-API-Key: KEY")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much, how deep and how slow a request may be."""

    body_bytes: int = 1_048_576
    body_seconds: float = 10.0
    """From the end of the head to the end of the body."""
    depth: int = 32
    """Levels of a JSON body, its outermost object counted."""
    bodies_bytes: int = 16_777_216
    """Of all bodies that are in work: what each has beyond its first ``SMALL_BYTES``. Room for four is always kept."""


class ApiKeys:
    """The keys that may use the API; without any, everybody may. Holds hashes only."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not all(keys):
            raise ValueError("an empty API key lets everybody in")
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    async def check(
        self,
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
        header: Annotated[str | None, Depends(_HEADER)],
    ) -> None:
        """A dependency of routes that need a key. Raises ``Problem`` 401, and 403 for a page that asks in our name.

        Without keys only this machine can ask, which includes every page in its browsers: one that points a name of
        its own at our address would be let in, were names other than ``localhost`` not refused.
        """
        if not self._digests and not _is_local(request.headers.get("host", "")):
            raise Problem(
                403, "Without keys only localhost or an IP address may be asked.", hint="Set [http] api_keys."
            )
        given = bearer.credentials if bearer is not None else header
        if self._digests and not self._allows(given or ""):
            detail = "This needs a key" if given is None else "This key is not known"
            hint = "Send Authorization: Bearer KEY, or X-API-Key: KEY, with one of [http] api_keys."
            raise Problem(401, f"{detail}.", hint=hint, headers={"WWW-Authenticate": 'Bearer realm="bothways"'})

    def _allows(self, given: str) -> bool:
        """Takes as long for a wrong key as for a right one, whichever it is."""
        digest = hashlib.sha256(given.encode("latin-1", "replace")).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(matches)


def _is_local(host: str) -> bool:
    """Whether the Host header names an address itself and not a name that somebody can give to any address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


SMALL_BYTES = 65_536
"""So much of a body always has room: a crowd of large ones must not keep out a webhook."""


class Bodies:
    """Reads bodies, and keeps what all of them take together within bounds, however many come at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = max(limits.bodies_bytes, 4 * limits.body_bytes)

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The body as it came; its room is taken until the end of the block.

        Raises ``Problem``: 413 too large, 408 too slow, 400 cut off, 503 too many large ones at a time.
        """
        body, held = bytearray(), 0
        self._check_length(request.headers.get("content-length", ""))
        try:
            async with aclosing(self._chunks(request)) as chunks:
                async for chunk in chunks:
                    body += chunk
                    self._check_length(str(len(body)))
                    more = max(0, len(body) - SMALL_BYTES) - held
                    if more > self._room:
                        raise Problem(503, "Too many large bodies at a time.", headers={"Retry-After": "1"})
                    held += more
                    self._room -= more
            yield bytes(body)
        finally:
            self._room += held

    @asynccontextmanager
    async def read_json(self, request: Request) -> AsyncIterator[dict[str, Value]]:
        """The body as a JSON object. Raises ``Problem``: as ``read``, 415 not declared as JSON, 400 not JSON."""
        check_media_type(request.headers.get("content-type", ""))
        async with self.read(request) as body:
            try:
                document = read_object(body, self._limits.depth)
            except NotJson as error:
                raise Problem(400, str(error)) from None
            yield document

    async def _chunks(self, request: Request) -> AsyncGenerator[bytes, None]:
        deadline = asyncio.get_running_loop().time() + self._limits.body_seconds
        chunks = aiter(request.stream())
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Problem(408, f"The body took longer than {self._limits.body_seconds:g} seconds.") from None
            except ClientDisconnect:
                raise Problem(400, "The body was cut off, or its chunks are malformed.") from None
            yield chunk

    def _check_length(self, length: str) -> None:
        """Of the body so far, or as it is declared. Raises ``Problem`` 413."""
        if length.isdecimal() and int(length[:20]) > self._limits.body_bytes:
            raise Problem(413, f"The body is larger than {self._limits.body_bytes} bytes.")


def check_media_type(declared: str) -> None:
    """Whether the Content-Type says JSON. Raises ``Problem`` 415."""
    parsed = Message()
    parsed["content-type"] = "".join(char for char in declared if char.isprintable())
    kind = parsed.get_content_type() if declared else "nothing"
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if not is_json or str(parsed.get_param("charset", "utf-8")).lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Problem(415, "The body must be JSON.", hint="Send Content-Type: application/json, in UTF-8.")
