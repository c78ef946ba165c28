"""What tests and people do to the sandbox itself: JSON under ``/_sandbox``, from this machine only.

=========================== ==========================================================================================
GET    state                clock, counts of objects, requests, deliveries, keys; rules in force
POST   reset                an empty account
POST   clock                ``{"advance": seconds}``
POST   limits               ``{"rate", "burst", "concurrency"}``; null or missing: no limit
GET, POST, DELETE faults    rules: a rule as in ``faults.Rule``; ``DELETE faults/ID`` ends one
POST   forget_keys          ``{"key"}``, or all
POST   edit                 ``{"object", "id", "params"}``, by hand; without ``id`` a creation, ``"delete": true``
POST   roll_secret          ``{"endpoint", "keep_seconds"}``: the new secret; both sign for so long
POST   quiet                ``{"timeout"}``: waits until no delivery is under way
GET    requests             ``?after=N``: the last requests, oldest first
GET    objects/OBJECT       every living one, oldest first
GET    …                    what the page shows, see ``dashboard/looking.py``
=========================== ==========================================================================================
"""

from __future__ import annotations

import asyncio
from dataclasses import fields
from itertools import islice

import orjson
from pydantic import TypeAdapter, ValidationError

from bothways.sandbox.stripe.bodies import Body, Handler, kind_of, number, number_or_none, text, whole
from bothways.sandbox.stripe.dashboard import looking
from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.faults import Rule
from bothways.sandbox.stripe.params import decode
from bothways.sandbox.stripe.sandbox import Sandbox
from bothways.sandbox.stripe.words import Request, Response

PREFIX = "/_sandbox/"
MOST_REQUESTS = 5_000

_RULE = TypeAdapter(Rule)


async def answer(sandbox: Sandbox, request: Request) -> Response:
    """The answer to a request under ``/_sandbox/``."""
    name, _, rest = request.path.removeprefix(PREFIX).partition("/")
    handler = _HANDLERS.get((request.method, name))
    if handler is None:
        return _json(404, ApiError(404, f"The sandbox has no {request.method} {request.path[:100]}.").document())
    try:
        answered = await handler(sandbox, rest, _body(request))
    except ApiError as error:
        return _json(error.status, error.document())
    except ValueError as error:
        return _json(400, ApiError(400, str(error)).document())
    if request.method != "GET":
        sandbox.changes.note()
    return _json(200, answered)


def _body(request: Request) -> Body:
    """The JSON body of a POST, the query of others. Raises ``ValueError``."""
    if request.method != "POST":
        return decode(request.query)
    body = orjson.loads(request.body or b"{}")
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _json(status: int, document: object) -> Response:
    return Response(status, orjson.dumps(document), (("Content-Type", "application/json"),))


async def _state(sandbox: Sandbox, _: str, __: Body) -> object:
    limited = sum(count for (_, _, status), count in sandbox.counts.items() if status == 429)
    return {
        "now": sandbox.clock.now(),
        "objects": sandbox.state.counts(),
        "requests": [
            {"method": method, "path": path, "status": status, "count": count}
            for (method, path, status), count in sandbox.counts.items()
        ],
        "answered": sum(sandbox.counts.values()),
        "rate_limited": limited,
        "limits": {name: getattr(sandbox.limits, name) for name in ("rate", "burst", "concurrency")},
        "idempotency_keys": len(sandbox.keys),
        "deliveries": {
            "pending": sandbox.deliveries.pending,
            "delivered": sandbox.deliveries.counts.delivered,
            "failed_tries": sandbox.deliveries.counts.failed_tries,
            "given_up": sandbox.deliveries.counts.given_up,
            "dropped": sandbox.deliveries.counts.dropped,
        },
        "faults": sandbox.faults.standing(),
    }


async def _reset(sandbox: Sandbox, _: str, __: Body) -> object:
    await sandbox.reset()
    return {"reset": True}


async def _clock(sandbox: Sandbox, _: str, body: Body) -> object:
    return {"now": sandbox.clock.advance(number(body, "advance"))}


async def _limits(sandbox: Sandbox, _: str, body: Body) -> object:
    concurrency = number_or_none(body, "concurrency")
    sandbox.limits.set(
        number_or_none(body, "rate"), number_or_none(body, "burst"), None if concurrency is None else int(concurrency)
    )
    return {"limits": {name: getattr(sandbox.limits, name) for name in ("rate", "burst", "concurrency")}}


async def _add_fault(sandbox: Sandbox, _: str, body: Body) -> object:
    known = {each.name for each in fields(Rule)}
    unknown = sorted(set(body) - known)
    if unknown:
        raise ValueError(f"a rule has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    try:
        rule = _RULE.validate_python(body)
    except ValidationError as error:
        raise ValueError("; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())) from error
    return {"id": sandbox.faults.add(rule)}


async def _list_faults(sandbox: Sandbox, _: str, __: Body) -> object:
    return {"faults": sandbox.faults.standing()}


async def _end_faults(sandbox: Sandbox, rest: str, _: Body) -> object:
    sandbox.faults.remove(int(rest) if rest else None)
    return {"faults": sandbox.faults.standing()}


async def _forget_keys(sandbox: Sandbox, _: str, body: Body) -> object:
    return {"forgotten": sandbox.keys.forget(text(body, "key") if "key" in body else None)}


async def _edit(sandbox: Sandbox, _: str, body: Body) -> object:
    kind = kind_of(text(body, "object")).object
    params = body.get("params", {})
    if not isinstance(params, dict):
        raise ValueError("params must be an object")
    if "id" not in body:
        return sandbox.create(kind, **params)
    if body.get("delete") is True:
        return sandbox.delete(kind, text(body, "id"))
    return sandbox.edit(kind, text(body, "id"), **params)


async def _roll_secret(sandbox: Sandbox, _: str, body: Body) -> object:
    endpoint = text(body, "endpoint")
    if endpoint not in sandbox.state.secrets:
        raise ValueError("no such webhook endpoint")
    return {"secret": sandbox.deliveries.roll_secret(endpoint, number_or_none(body, "keep_seconds") or 0.0)}


async def _quiet(sandbox: Sandbox, _: str, body: Body) -> object:
    timeout = number_or_none(body, "timeout")
    try:
        async with asyncio.timeout(10 if timeout is None else timeout):
            await sandbox.deliveries.quiet()
    except TimeoutError:
        return {"quiet": False, "pending": sandbox.deliveries.pending}
    return {"quiet": True, "pending": 0}


async def _requests(sandbox: Sandbox, _: str, body: Body) -> object:
    after = whole(body, "after", 0, 2**53)
    return {"requests": list(islice((each for each in sandbox.requests if each.number > after), MOST_REQUESTS))}


async def _objects(sandbox: Sandbox, rest: str, _: Body) -> object:
    return {"data": sandbox.state.all(kind_of(rest).object)}


_HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "state"): _state,
    ("POST", "reset"): _reset,
    ("POST", "clock"): _clock,
    ("POST", "limits"): _limits,
    ("POST", "faults"): _add_fault,
    ("GET", "faults"): _list_faults,
    ("DELETE", "faults"): _end_faults,
    ("POST", "forget_keys"): _forget_keys,
    ("POST", "edit"): _edit,
    ("POST", "roll_secret"): _roll_secret,
    ("POST", "quiet"): _quiet,
    ("GET", "requests"): _requests,
    ("GET", "objects"): _objects,
    **looking.HANDLERS,
}
