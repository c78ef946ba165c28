"""One request to Stripe at a time: its turn, its answer's window, its error as ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeAlias, cast
from urllib.parse import quote

import aiohttp
import stripe
import structlog
from yarl import URL

from bothways.connectors.stripe.failures import Failure, read_failure, translate, transport_error
from bothways.connectors.stripe.fields import ObjectType
from bothways.connectors.stripe.params import Params
from bothways.model.errors import CallRefused, Forbidden, SettingsError, Unavailable
from bothways.model.link import Window
from bothways.model.values import Value, Values
from bothways.ports import Pace

API_VERSION = "2026-10-28.endive"
"""Fixes the shape of what Stripe answers: that of stripe-python 16.1, which the tables in ``objects`` describe."""

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
KEPT_SECONDS = 30.0
"""So long an idle connection is used again: less than servers wait before they close one."""
CLOCK_TOLERANCE_SECONDS = 300.0
"""Signatures of webhooks that are further from our clock are refused (https://docs.stripe.com/webhooks)."""

_log = structlog.get_logger(__name__)

_KEY = re.compile(r"(?:sk|rk)_(test|live)_\w+")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request came back with. ``document`` None: the object that its path names is not there."""

    document: Mapping[str, Value] | None = field(repr=False)
    window: Window
    replayed: bool
    request_id: str | None


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request that was answered, one way or the other."""

    document: Mapping[str, Value] | None
    failure: Failure | None
    headers: Mapping[str, str]
    began: float

    def reply(self) -> Reply:
        """With the window, which is told by the remote's own clock: ours says only how long the call took."""
        took = time.monotonic() - self.began
        try:
            high = int(parsedate_to_datetime(self.headers.get("date") or "").timestamp())
        except (ValueError, IndexError, TypeError):
            hint = "a proxy between here and Stripe must leave headers alone"
            raise Unavailable("Stripe's answer has no Date", hint=hint) from None
        window = Window(high - math.ceil(took) - 1, high)
        replayed = self.headers.get("idempotent-replayed") == "true"
        return Reply(self.document, window, replayed, self.headers.get("request-id"))


def is_live(api_key: str) -> bool:
    """The mode of a key. ``SettingsError``, without the key, for what is no secret or restricted key of an account."""
    if found := _KEY.fullmatch(api_key):
        return found.group(1) == "live"
    hint = "it begins with sk_test_, rk_test_, sk_live_ or rk_live_"
    if api_key.startswith("pk_"):
        hint = f"this is a publishable key, a secret one is needed: {hint}"
    raise SettingsError("api_key is no secret key of a Stripe account", hint=hint)


def object_path(described: ObjectType, remote_id: str) -> str:
    """The path of one object. ``CallRefused`` for an id that would name another path."""
    if not remote_id.strip(". \t\r\n"):
        hint = f"ids of a {described.name} begin with {described.id_prefix}"
        raise CallRefused(f"{remote_id!r} is no id of a Stripe {described.name}", hint=hint)
    return f"{described.path}/{quote(remote_id, safe='')}"


class Transport(stripe.HTTPClient):
    """HTTP for the SDK: connections kept between calls, a time-out for each step, proxies that the environment names.

    By aiohttp, which the SDK offers as well, but with settings that cannot be given there. A kept connection that turns
    out closed is replaced once where a request may be repeated (not POST). Lives on one event loop.
    """

    name = "aiohttp"

    def __init__(self, connect: float = CONNECT_SECONDS, answer: float = ANSWER_SECONDS) -> None:
        super().__init__()
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect, connect=connect, sock_read=answer)
        self._session: aiohttp.ClientSession | None = None

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        address = URL(url, encoded=True)
        try:
            async with self._open().request(method, address, headers=headers, data=post_data) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Not chained: what aiohttp keeps in its errors may hold the key.
            raise stripe.StripeError(f"{type(error).__name__} {error}".strip()) from None
        return body, answer.status, answer.headers

    async def close_async(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_SECONDS, ssl=_trusted()),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=True,
            )
        return self._session


def _trusted() -> ssl.SSLContext:
    """The machine's certificates, or those that ``SSL_CERT_FILE`` names, and the SDK's: a slim container has none."""
    context = ssl.create_default_context()
    context.load_verify_locations(stripe.ca_bundle_path)
    return context


Admit: TypeAlias = Callable[[str | None], Awaitable[None]]
"""Raises where the account (None: it cannot be told) is not the one that the links were made with."""


class StripeApi:
    """Requests under one key. Never retries by itself."""

    def __init__(
        self,
        api_key: str,
        api_base: str,
        pace: Pace,
        transport: Transport | None = None,
        admit: Admit | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``admit`` is shown the key's account before the first request."""
        self._clock = clock
        self._ahead: float | None = None
        """So many seconds our clock was ahead of Stripe's when it last answered."""
        self._admit = admit
        self._admitting = asyncio.Lock()
        self.livemode = is_live(api_key)
        if self.livemode and not api_base.startswith("https://"):
            raise SettingsError("a live key is not sent over plain http", hint="write api_base with https://")
        self._pace = pace
        self._transport = transport or Transport()
        stripe.enable_telemetry = False  # the SDK would write a file into the user's home and report every call's time
        logging.getLogger("stripe").setLevel(logging.WARNING)  # below, it logs what is searched by, and what is written
        self.base = api_base.rstrip("/")
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": self.base},
            stripe_version=API_VERSION,
            max_network_retries=0,
            http_client=self._transport,
        )

    async def close(self) -> None:
        """Let the connections go."""
        await self._transport.close_async()

    async def request(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        key: str | None = None,
        one: bool = False,
        described: ObjectType | None = None,
        patch: Values | None = None,
    ) -> Reply:
        """One HTTP request, after its turn. ``patch`` and ``described`` are what errors are explained by.

        Errors as in ``ports.Remote``. Where the path names ``one`` object, one that is not there is a reply.
        """
        await self._admitted()
        sent = await self._send(method, path, params or {}, key)
        failure = sent.failure
        if failure is None:
            return sent.reply()
        if one and described is not None and failure.is_missing(described.name) and not failure.of_other_mode:
            return sent.reply()
        raise translate(failure, keyed=key is not None, described=described, patch=patch)

    async def _admitted(self) -> None:
        """In another account none of the records would be there, and every row would seem to be deleted."""
        async with self._admitting:
            if self._admit is not None:
                await self._admit(await self.account())
                self._admit = None

    async def account(self) -> str | None:
        """The id of the key's account; None where a restricted key may not read it."""
        sent = await self._send("get", "/v1/account", {}, None)
        if sent.failure is not None and sent.failure.status not in (403, 404):
            raise translate(sent.failure, keyed=False)
        found = sent.document.get("id") if sent.document is not None else None
        return found if isinstance(found, str) else None

    async def now(self) -> float:
        """What Stripe's clock shows, to a second or two: ours may be anywhere."""
        return self._clock() - await self.now_ahead()

    async def now_ahead(self) -> float:
        """So many seconds our clock is ahead of Stripe's, as its last answer told."""
        if self._ahead is None:
            await self.account()
        return self._ahead or 0.0

    def _told_time(self, headers: Mapping[str, str]) -> None:
        was_off = self._is_off()
        with contextlib.suppress(ValueError, IndexError, TypeError):
            self._ahead = self._clock() - parsedate_to_datetime(headers.get("date") or "").timestamp()
        if self._is_off() and not was_off:
            hint = "every webhook is refused; set this machine's clock: timedatectl set-ntp true"
            _log.error("clock.off", seconds_ahead=round(self._ahead or 0.0), remote=self.base, hint=hint)

    def _is_off(self) -> bool:
        """So far that signatures of webhooks are too old, or of the future."""
        return self._ahead is not None and abs(self._ahead) > CLOCK_TOLERANCE_SECONDS

    async def _send(self, method: str, path: str, params: Params, key: str | None) -> _Sent:
        await self._pace.turn()
        options = {"idempotency_key": key} if key is not None else {}
        began = time.monotonic()
        try:
            answer = await self._client.raw_request_async(method, path, **params, **options)
        except stripe.StripeError as error:
            failure = read_failure(error)
            if failure is None:
                raise transport_error(error, self.base) from None
            self._told_time(failure.headers)
            if failure.asks_for_fewer_calls:
                await self._pace.slow_down(failure.retry_after)
            return _Sent(None, failure, failure.headers, began)
        except ValueError as error:
            raise CallRefused(f"the request cannot be made: {error}") from None
        if not isinstance(answer.data, Mapping):
            raise Unavailable("Stripe's answer is no JSON object")
        document = cast("Mapping[str, Value]", answer.data)
        self.check_mode(document)
        self._told_time(answer.headers)
        return _Sent(document, None, answer.headers, began)

    def check_mode(self, document: Mapping[str, Value]) -> None:
        """Live and test records are never mixed. Raises ``Forbidden``."""
        if document.get("livemode", self.livemode) is not self.livemode:
            mine, other = ("live", "test") if self.livemode else ("test", "live")
            raise Forbidden(f"Stripe showed a record of {other} mode to a key of {mine} mode")
