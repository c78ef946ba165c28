"""The addresses under ``/_sandbox``, on a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from bothways.sandbox.stripe import Sandbox, Settings, create_app
from tests.servers.sandbox import API_KEY, SandboxProcess


@pytest.fixture
def plain(stripe_process: SandboxProcess) -> Iterator[httpx.Client]:
    """Plain HTTP with a key."""
    with httpx.Client(base_url=stripe_process.url, auth=(API_KEY, ""), trust_env=False) as client:
        yield client


def test_edits_by_hand(stripe_process: SandboxProcess, plain: httpx.Client) -> None:
    """Create, change and delete, each with an event that names no request."""
    admin = stripe_process.admin
    made = admin.create("customer", name="Ada", metadata={"a": 1})
    edited = admin.edit("customer", made["id"], name=None, address={"city": "Paris"})
    assert (edited["name"], edited["address"]["city"], edited["metadata"]) == (None, "Paris", {"a": "1"})
    assert admin.objects("customer") == [edited]
    admin.delete("customer", made["id"])
    assert admin.objects("customer") == []
    events = plain.get("/v1/events").json()["data"]
    assert [each["type"] for each in events] == ["customer.deleted", "customer.updated", "customer.created"]
    assert all(each["request"] == {"id": None, "idempotency_key": None} for each in events)


def test_counters_and_the_log_of_requests(stripe_process: SandboxProcess, plain: httpx.Client) -> None:
    """By method, path and status; 429s; each request with its key and the time of its arrival."""
    admin = stripe_process.admin
    admin.limits(1)
    plain.post("/v1/customers", data={"name": "Ada"}, headers={"Idempotency-Key": "k"})
    plain.post("/v1/customers", data={"name": "Bob"})
    admin.limits(None)
    plain.get("/v1/customers/cus_none")
    state = admin.state()
    assert state["answered"] == 3
    assert state["rate_limited"] == 1
    assert state["objects"] == {"customer": 1, "product": 0, "price": 0, "webhook_endpoint": 0, "event": 1}
    assert {"method": "GET", "path": "/v1/customers/{id}", "status": 404, "count": 1} in state["requests"]
    assert state["idempotency_keys"] == 1
    first, second, third = admin.requests()
    assert (first["method"], first["path"], first["status"], first["idempotency_key"]) == (
        *("POST", "/v1/customers", 200, "k"),
    )
    assert second["status"] == 429
    assert second["arrived_at"] <= third["arrived_at"]
    assert admin.requests(after=2) == [third]


def test_the_clock_keys_and_faults(stripe_process: SandboxProcess, plain: httpx.Client) -> None:
    """All that tests need from outside."""
    admin = stripe_process.admin
    before = admin.state()["now"]
    admin.advance(1000)
    assert 1000 <= admin.state()["now"] - before < 1010
    admin.fault("error_after", path="/v1/customers", times=1)
    headers = {"Idempotency-Key": "k"}
    assert plain.post("/v1/customers", data={"name": "Ada"}, headers=headers).status_code == 500
    assert admin.state()["faults"][0]["happened"] == 1
    admin.forget_keys()
    assert plain.post("/v1/customers", data={"name": "Ada"}, headers=headers).status_code == 200
    assert len(admin.objects("customer")) == 2
    admin.fault("rate_limit")
    assert plain.get("/v1/customers").status_code == 429
    admin.end_faults()
    assert plain.get("/v1/customers").status_code == 200
    assert admin.quiet()
    admin.reset()
    assert plain.get("/v1/customers").json()["data"] == []
    assert admin.state()["now"] - before < 100


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "/_sandbox/nothing", b"{}", "no POST"),
        ("GET", "/_sandbox/clock", b"", "no GET"),
        ("POST", "/_sandbox/clock", b"", "advance must be a number"),
        ("POST", "/_sandbox/clock", b'{"advance": -1}', "moved on"),
        ("POST", "/_sandbox/clock", b"{", ""),
        ("POST", "/_sandbox/clock", b"[]", "JSON object"),
        ("POST", "/_sandbox/faults", b'{"fault": "earthquake"}', "fault"),
        ("POST", "/_sandbox/faults", b"{}", "fault"),
        ("POST", "/_sandbox/faults", b'{"fault": "slow", "second": 1}', "a rule has no second"),
        ("POST", "/_sandbox/limits", b'{"rate": 0}', "above 0"),
        ("POST", "/_sandbox/edit", b'{"object": "dog"}', "no such object"),
        ("POST", "/_sandbox/edit", b'{"object": "customer", "id": "cus_1", "params": {"nmae": 1}}', "No such customer"),
        ("POST", "/_sandbox/edit", b'{"object": "customer", "params": []}', "params"),
        ("POST", "/_sandbox/roll_secret", b'{"endpoint": "we_1"}', "no such webhook endpoint"),
        ("GET", "/_sandbox/objects/dog", b"", "no such object"),
        ("GET", "/_sandbox/requests?after=x", b"", ""),
        ("DELETE", "/_sandbox/faults/x", b"", ""),
    ],
)
def test_what_cannot_be_done(plain: httpx.Client, method: str, path: str, body: bytes, message: str) -> None:
    """4xx with a reason, never a 5xx."""
    answer = plain.request(method, path, content=body)
    assert 400 <= answer.status_code < 500
    assert message in answer.json()["error"]["message"]


async def test_only_this_machine_may_do_it() -> None:
    """From elsewhere the API answers, and the rest is forbidden."""
    sandbox = Sandbox(Settings())
    transport = httpx.ASGITransport(app=create_app(sandbox), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", auth=(API_KEY, "")) as far:
        assert (await far.get("/v1/customers")).status_code == 200
        assert (await far.post("/_sandbox/reset")).status_code == 403
