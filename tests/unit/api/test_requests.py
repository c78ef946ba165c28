"""Keys, media types, and the room for bodies."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from fastapi import Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.types import Message

from bothways.api.problems import Problem
from bothways.api.requests import SMALL_BYTES, ApiKeys, Bodies, Limits, check_media_type


def bearer(key: str) -> HTTPAuthorizationCredentials:
    """The key as a bearer token."""
    return HTTPAuthorizationCredentials(scheme="Bearer", credentials=key)


def request(host: str = "127.0.0.1:8000") -> Request:
    """A request to this host."""
    return Request({"type": "http", "headers": [(b"host", host.encode("latin-1"))]})


async def test_each_key_opens_in_either_header() -> None:
    """Every key of the settings is as good as the first, as a bearer token and in X-API-Key."""
    keys = ApiKeys(["first", "second", "ключ"])
    for key in ("first", "second"):
        await keys.check(request(), bearer(key), None)
        await keys.check(request(), None, key)
    await keys.check(request(), None, "ключ".encode().decode("latin-1"))


@pytest.mark.parametrize("given", ["", "firs", "first ", "FIRST", "firstsecond", "ÿ", "first\x00"])
async def test_no_other_key_opens(given: str) -> None:
    """Nothing but a whole key, and the answer says how to send one."""
    keys = ApiKeys(["first", "second"])
    for attempt in (keys.check(request(), bearer(given), None), keys.check(request(), None, given)):
        with pytest.raises(Problem) as caught:
            await attempt
        assert caught.value.status == 401
        assert "WWW-Authenticate" in caught.value.headers


async def test_without_a_key_nothing_opens() -> None:
    """A request without a key is told that one is needed."""
    with pytest.raises(Problem, match="needs a key"):
        await ApiKeys(["first"]).check(request(), None, None)


async def test_without_keys_everything_is_open() -> None:
    """No keys in the settings: no key is asked for."""
    await ApiKeys([]).check(request(), None, None)
    await ApiKeys([]).check(request(), bearer("any"), None)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "127.0.0.1:8000", "[::1]:8000"])
async def test_without_keys_the_machine_itself_may_ask(host: str) -> None:
    """By its address or as localhost."""
    await ApiKeys([]).check(request(host), None, None)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example:8000", "localhost.evil", "[::1", "x@y", "\xff"]
)
async def test_without_keys_no_page_of_a_browser_may(host: str) -> None:
    """A page whose name points at our address sends that name as Host; with a key it may be any name."""
    with pytest.raises(Problem) as caught:
        await ApiKeys([]).check(request(host), None, None)
    assert caught.value.status == 403
    await ApiKeys(["k"]).check(request(host), None, "k")


def test_an_empty_key_is_refused() -> None:
    """A key from an unset variable must not open the API to everybody."""
    with pytest.raises(ValueError, match="empty"):
        ApiKeys(["good", ""])


def test_keys_do_not_show() -> None:
    """The keys are not in what a debugger or a log would print."""
    keys = ApiKeys(["very-secret"])
    assert "very-secret" not in repr(keys) + repr(vars(keys))


@pytest.mark.parametrize(
    "declared",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/merge-patch+json",
        'application/json;charset="utf-8"',
    ],
)
def test_json_is_taken(declared: str) -> None:
    """JSON's media types, in UTF-8."""
    check_media_type(declared)


@pytest.mark.parametrize(
    "declared",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "json",
        "text/json+json",
        "\r\n",
    ],
)
def test_other_media_types_are_refused(declared: str) -> None:
    """Also those that a browser sends to another site without asking first."""
    with pytest.raises(Problem) as caught:
        check_media_type(declared)
    assert caught.value.status == 415


async def test_every_key_is_compared_whatever_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time tells neither how much of a key was right nor which one it was: digests of one length."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def noting(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    keys = ApiKeys(["first", "second", "a much longer third key"])
    for given in ("first", "second", "f", "x" * 5000):
        compared.clear()
        try:
            await keys.check(request(), bearer(given), None)
        except Problem:
            assert given not in ("first", "second")
        assert compared == [(32, 32)] * 3


def sending(*chunks: bytes) -> Request:
    """A request whose body comes in these pieces."""
    left = [
        *({"type": "http.request", "body": each, "more_body": True} for each in chunks),
        {"type": "http.request", "body": b"", "more_body": False},
    ]

    async def receive() -> Message:
        return left.pop(0)

    return Request({"type": "http", "headers": []}, receive)


async def read_together(bodies: Bodies, requests: Sequence[Request]) -> list[int]:
    """Bodies of requests that are all in work at a time: their lengths, or the statuses of refusals."""
    found = []
    async with AsyncExitStack() as at_work:
        for each in requests:
            try:
                found.append(len(await at_work.enter_async_context(bodies.read(each))))
            except Problem as problem:
                found.append(problem.status)
    return found


async def test_large_bodies_have_bounds_together_and_small_ones_always_room() -> None:
    """503 for a large one while others take the room; a webhook's size is taken; all is given back at the end."""
    half = SMALL_BYTES * 5
    bodies = Bodies(Limits(body_bytes=half, bodies_bytes=1))
    crowd = [sending(*[b"x" * SMALL_BYTES] * 5) for _ in range(7)]
    for _ in range(3):
        found = await read_together(bodies, [*crowd, sending(b"y" * SMALL_BYTES)])
        assert found == [half] * 5 + [503] * 2 + [SMALL_BYTES]
        assert await read_together(bodies, [sending(b"x" * half, b"one more")]) == [413]
        crowd = [sending(*[b"x" * SMALL_BYTES] * 5) for _ in range(7)]
