"""The API: from a request to its answer, with keys, limits and faults on the way."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TypeAlias

import orjson

from bothways.sandbox.stripe.clock import MovableClock
from bothways.sandbox.stripe.errors import (
    HELP,
    ApiError,
    internal,
    lock_timeout,
    rate_limited,
    unknown_parameters,
    unrecognised_url,
)
from bothways.sandbox.stripe.faults import Fault, Faults, Rule
from bothways.sandbox.stripe.idempotency import Keys, Release
from bothways.sandbox.stripe.more_objects import DESCRIPTIONS
from bothways.sandbox.stripe.objects import Description
from bothways.sandbox.stripe.params import decode
from bothways.sandbox.stripe.ratelimit import Limits
from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.state import State
from bothways.sandbox.stripe.words import Cause, Document, RawParams, Request, Response

Operation: TypeAlias = Callable[[RawParams, Cause], Document]

KINDS = {each.path: each for each in DESCRIPTIONS.values()}
ACCOUNT: Document = {
    "id": "acct_1SandboxBothways",
    "object": "account",
    "charges_enabled": True,
    "country": "US",
    "default_currency": "usd",
    "details_submitted": True,
    "payouts_enabled": True,
    "type": "standard",
}


@dataclass(slots=True)
class Exchange:
    """What is noted of one request while it is answered."""

    request: Request
    id: str
    fault: Fault | None = None
    replayed: bool = False


@dataclass(slots=True)
class Api:
    """Stripe's API on one state."""

    settings: Settings
    clock: MovableClock
    state: State
    keys: Keys
    limits: Limits
    faults: Faults

    async def answer(self, request: Request) -> tuple[Response, Exchange]:
        """The answer to any request; errors are answers too."""
        exchange = Exchange(request, self.state.new_request_id())
        try:
            response = await self._admit(exchange)
        except ApiError as error:
            response = _error(error)
        return replace(response, headers=self._headers(exchange, response)), exchange

    async def _admit(self, exchange: Exchange) -> Response:
        _authenticate(exchange.request.headers)
        _check_version(exchange.request.headers)
        self.limits.enter()
        try:
            return await self._perform(exchange)
        finally:
            self.limits.leave()

    async def _perform(self, exchange: Exchange) -> Response:
        request = exchange.request
        rule = self.faults.of_request(request.method, request.path, request.query + b"\n" + request.body)
        exchange.fault = rule.fault if rule else None
        params = _params(request)
        operation = self._operation(request.method, request.path)
        broken = _fail_early(rule)
        if broken:
            return broken
        release = self._begin(exchange, params)
        if isinstance(release, Response):
            exchange.replayed = True
            return await _late_faults(rule, release, Fault.SLOW, Fault.SLOW_ANSWER)
        response: Response | None = None
        try:
            response = await self._run(operation, params, exchange, rule)
        finally:
            release(response)
        return await _late_faults(rule, response, Fault.SLOW_ANSWER)

    def _begin(self, exchange: Exchange, params: RawParams) -> Response | Release:
        """Only POST requests have keys; those of others are shown in events and do nothing else."""
        key = exchange.request.headers.get("idempotency-key")
        if not key or exchange.request.method != "POST":
            return _forget
        return self.keys.begin(key, exchange.request.path, params)

    async def _run(self, operation: Operation, params: RawParams, exchange: Exchange, rule: Rule | None) -> Response:
        fault = rule.fault if rule else None
        if rule and fault is Fault.SLOW:
            await asyncio.sleep(rule.seconds)
        kept = (("Original-Request", exchange.id),)
        if rule and fault is Fault.ERROR_BEFORE:
            return _failure(rule, kept)
        cause = Cause(exchange.id, exchange.request.headers.get("idempotency-key") or None)
        document = operation(params, cause)
        if rule and fault is Fault.ERROR_AFTER:
            return _failure(rule, kept)
        return Response(200, _compact(orjson.dumps(document)), kept)

    def _operation(self, method: str, path: str) -> Operation:
        """What a path and a method ask for. Raises ``ApiError`` 404."""
        match path.split("/"):
            case ["", "v1", "events"] if method == "GET":
                return lambda params, _: self.state.events.list(params)
            case ["", "v1", "events", id] if method == "GET" and id:
                return lambda params, _: _without(params, self.state.events.retrieve(id))
            case ["", "v1", "account"] if method == "GET":
                return lambda params, _: _without(params, ACCOUNT)
            case ["", "v1", plural, *rest] if plural in KINDS:
                operation = self._on_objects(KINDS[plural], method, rest)
                if operation:
                    return operation
            case _:
                pass
        raise unrecognised_url(method, path)

    def _on_objects(self, kind: Description, method: str, rest: list[str]) -> Operation | None:
        state = self.state
        match method, rest:
            case "GET", []:
                return lambda params, _: state.list(kind, params)
            case "POST", []:
                return lambda params, cause: state.create(kind, params, cause)
            case "GET", ["search"] if kind.searchable:
                return lambda params, _: state.search(kind, params)
            case "GET", [id] if id:
                return lambda params, _: state.retrieve(kind, id, params)
            case "POST", [id] if id:
                return lambda params, cause: state.update(kind, id, params, cause)
            case "DELETE", [id] if id and kind.deletable:
                return lambda params, cause: state.delete(kind, id, params, cause)
            case _:
                return None

    def _headers(self, exchange: Exchange, response: Response) -> tuple[tuple[str, str], ...]:
        asked = exchange.request.headers
        headers = [
            ("Content-Type", "application/json"),
            ("Date", _date(int(self.clock.now()))),
            ("Request-Id", exchange.id),
            ("Stripe-Version", asked.get("stripe-version") or self.settings.api_version),
        ]
        key = asked.get("idempotency-key")
        if key and exchange.request.method == "POST":
            headers.append(("Idempotency-Key", key))
            headers += [header for header in response.headers if header[0] == "Original-Request"]
        if exchange.replayed:
            headers.append(("Idempotent-Replayed", "true"))
        headers += [header for header in response.headers if header[0] != "Original-Request"]
        return tuple(headers)


def _authenticate(headers: Mapping[str, str]) -> None:
    """Any secret or restricted test key, as Bearer token or as the user of Basic authentication."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    key = rest.strip()
    if scheme.lower() == "basic":
        try:
            key = b64decode(key, validate=True).decode().partition(":")[0]
        except (NotBase64, UnicodeDecodeError):
            key = ""
    challenge = (("WWW-Authenticate", 'Bearer realm="Stripe"'),)
    if scheme.lower() not in ("basic", "bearer") or not key:
        raise ApiError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            f"Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). {HELP}",
            headers=challenge,
        )
    if not key.startswith(("sk_test_", "rk_test_")):
        prefix = re.match(r"([a-z]{2}_(live|test)_)?", key)
        shown = (prefix[0] if prefix else "") + "*" * 8 + key[-4:] if len(key) > 16 else "*" * 8
        raise ApiError(401, f"Invalid API Key provided: {shown}", headers=challenge)


def _check_version(headers: Mapping[str, str]) -> None:
    version = headers.get("stripe-version")
    if version and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[a-z]+)?", version):
        raise ApiError(400, f"Invalid Stripe API version: {version[:50]}")


def _params(request: Request) -> RawParams:
    """The query's parameters, and those of a POST's body."""
    params = decode(request.query)
    if request.method == "POST" and request.body:
        sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if sent not in ("application/x-www-form-urlencoded", ""):
            raise ApiError(
                400,
                "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have "
                "any questions, we can help at https://support.stripe.com/.",
            )
        params |= decode(request.body)
    return params


def _fail_early(rule: Rule | None) -> Response | None:
    """Faults before anything is kept."""
    if rule is None:
        return None
    match rule.fault:
        case Fault.RATE_LIMIT:
            raise rate_limited("global-rate")
        case Fault.LOCK_TIMEOUT:
            raise lock_timeout()
        case Fault.UNAVAILABLE:
            raise internal(rule.status or 503)
        case Fault.DROP_BEFORE:
            return Response(500, b"{}", dropped=True)
        case _:
            return None


async def _late_faults(rule: Rule | None, response: Response, *slow: Fault) -> Response:
    """Faults on the way back."""
    if rule and rule.fault in slow:
        await asyncio.sleep(rule.seconds)
    if rule and rule.fault is Fault.DROP_AFTER:
        return replace(response, dropped=True)
    return response


def _failure(rule: Rule, headers: tuple[tuple[str, str], ...]) -> Response:
    """A failure that is kept: trying again with the same key repeats it, and the client is told not to."""
    error = internal(rule.status or 500)
    return Response(error.status, orjson.dumps(error.document()), (*headers, ("Stripe-Should-Retry", "false")))


def _compact(encoded: bytes) -> bytes:
    """A copy of its own length: orjson's results keep their buffer of 8 KB, too much for answers kept for a day."""
    return bytes(memoryview(encoded))


def _error(error: ApiError) -> Response:
    return Response(error.status, orjson.dumps(error.document()), error.headers)


def _without(params: RawParams, document: Document) -> Document:
    others = [name for name in params if name != "expand"]
    if others:
        raise unknown_parameters(others)
    return document


def _forget(_: Response | None) -> None:
    """There is no key to keep an answer under."""


_dates: dict[int, str] = {}


def _date(second: int) -> str:
    """An HTTP date; the last one is kept, since many answers fall into one second."""
    if second not in _dates:
        _dates.clear()
        _dates[second] = formatdate(second, usegmt=True)
    return _dates[second]
