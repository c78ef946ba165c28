"""What any client sees: headers, authentication, and 4xx for what is malformed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.sandbox.stripe import Fault, Rule, Running, Sandbox, Settings, running
from bothways.sandbox.stripe.words import Request
from tests.servers.sandbox import API_KEY

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_answers_carry_stripes_headers(http: httpx.AsyncClient, stripe_sandbox: Running) -> None:
    """Request id, version as asked or as set, and a date by the sandbox's own clock."""
    plain = await http.get("/v1/customers")
    assert plain.headers["stripe-version"] == "2026-10-28.endive"
    assert plain.headers["request-id"].startswith("req_")
    assert plain.headers["content-type"] == "application/json"
    stripe_sandbox.sandbox.clock.advance(86_400)
    asked = await http.get("/v1/customers", headers={"Stripe-Version": "2024-06-20"})
    assert asked.headers["stripe-version"] == "2024-06-20"
    moved = parsedate_to_datetime(asked.headers["date"]) - parsedate_to_datetime(plain.headers["date"])
    assert 86_400 <= moved.total_seconds() < 86_410
    assert len(asked.headers.get_list("date")) == 1
    wrong = await http.get("/v1/customers", headers={"Stripe-Version": "latest"})
    assert wrong.status_code == 400


async def test_keys_come_as_bearer_or_as_user(stripe_sandbox: Running) -> None:
    """Both ways that clients use; without a key 401."""
    async with httpx.AsyncClient(base_url=stripe_sandbox.url, trust_env=False) as plain:
        assert (await plain.get("/v1/customers", auth=(API_KEY, ""))).status_code == 200
        for headers in ({}, {"Authorization": "Basic !!"}, {"Authorization": "Bearer"}, {"Authorization": API_KEY}):
            refused = await plain.get("/v1/customers", headers=headers)
            assert refused.status_code == 401
            assert "You did not provide an API key" in refused.json()["error"]["message"]
            assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/customers/"),
        ("PUT", "/v1/customers"),
        ("PATCH", "/v1/customers/cus_1"),
        ("DELETE", "/v1/customers"),
        ("DELETE", "/v1/prices/price_1"),
        ("POST", "/v1/events"),
        ("GET", "/v1/customers/cus_1/sources"),
        ("GET", "/v2/core/events"),
    ],
)
async def test_unknown_addresses(http: httpx.AsyncClient, method: str, path: str) -> None:
    """404 that names what was asked for."""
    answer = await http.request(method, path)
    assert answer.status_code == 404
    assert f"Unrecognized request URL ({method}: {path})" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"name": "Ada"}', "application/json"),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
        (b"name=%ff", "application/x-www-form-urlencoded"),
        (b"name=%00", "application/x-www-form-urlencoded"),
        (b"a=1&a[b]=2", "application/x-www-form-urlencoded"),
        (b'{"name": "Ada"}', "application/x-www-form-urlencoded"),
    ],
)
async def test_malformed_bodies(http: httpx.AsyncClient, content: bytes, kind: str) -> None:
    """400 with a reason, and nothing is made."""
    answer = await http.post("/v1/customers", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
    assert (await http.get("/v1/customers")).json()["data"] == []


async def test_a_body_over_the_limit() -> None:
    """413, whether its length is announced or not."""
    async with running(settings=Settings(body_limit_bytes=1000)) as served:
        headers = {"Authorization": f"Bearer {API_KEY}", **FORM}
        async with httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as plain:
            large = b"name=" + b"x" * 5000
            assert (await plain.post("/v1/customers", content=large)).status_code == 413

            async def chunks() -> AsyncIterator[bytes]:
                yield large

            assert (await plain.post("/v1/customers", content=chunks())).status_code == 413
            assert (await plain.post("/v1/customers", content=b"name=x")).status_code == 200


@settings(max_examples=300)
@given(
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.sampled_from(["customers", "products", "prices", "events", "webhook_endpoints", "account"]),
    st.sampled_from(["", "/x", "/search"]),
    st.binary(max_size=30) | st.text("abcdefinlmnoprstuy[]=&%01", max_size=40).map(str.encode),
    st.dictionaries(st.sampled_from(["idempotency-key", "stripe-version", "content-type"]), st.text(max_size=12)),
)
def test_no_request_makes_the_sandbox_fail(
    method: str, plural: str, rest: str, content: bytes, headers: dict[str, str]
) -> None:
    """Whatever is sent is answered below 500."""
    request = Request(
        method, f"/v1/{plural}{rest}", content, {"authorization": f"Bearer {API_KEY}", **headers}, content
    )
    response = asyncio.run(Sandbox().answer(request))
    assert response.status < 500


async def test_two_servers_on_one_address(stripe_sandbox: Running) -> None:
    """The second says so."""
    port = int(stripe_sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        async with running(port=port):
            pass


async def test_a_broken_connection_has_no_head(http: httpx.AsyncClient, stripe_sandbox: Running) -> None:
    """Nothing at all comes back, so that no client can take it for an answer; the next request is answered."""
    stripe_sandbox.sandbox.faults.add(Rule(Fault.DROP_AFTER, times=1))
    port = int(stripe_sandbox.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /v1/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API_KEY}\r\n\r\n".encode())
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert (await http.get("/v1/account")).status_code == 200


async def test_it_stops_cleanly_with_a_request_under_way() -> None:
    """Leaving does not wait for a slow answer, and the port is free again."""
    async with running(settings=Settings(rate=None)) as served:
        port = int(served.url.rpartition(":")[2])
        async with httpx.AsyncClient(base_url=served.url, trust_env=False) as plain:
            fault = {"fault": "slow", "seconds": 60}
            assert (await plain.post("/_sandbox/faults", json=fault)).status_code == 200
            with pytest.raises(httpx.ReadTimeout):
                await plain.get("/v1/customers", auth=(API_KEY, ""), timeout=0.2)
            assert served.sandbox.faults.standing()[0].happened == 1
    async with asyncio.timeout(5), running(port=port) as again:
        assert again.sandbox.state.counts()["customer"] == 0
