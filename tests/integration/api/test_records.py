"""``/v1/records`` over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from bothways.api.app import create_app
from bothways.insight.metrics import Metrics
from tests.integration.api.serving import MemoryRecords, client, serving


@pytest.fixture
def records() -> MemoryRecords:
    """Empty records."""
    return MemoryRecords()


@pytest.fixture
async def http(records: MemoryRecords) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the key of an app over them."""
    app = create_app(metrics=Metrics(), health=dict, records=records, api_keys=["the-key", "another"])
    async with serving(app) as server, client(server, Authorization="Bearer the-key") as made:
        yield made


async def test_a_record_lives_and_dies(http: httpx.AsyncClient) -> None:
    """Created, shown, changed, deleted; each write has a token of its own."""
    created = await http.post("/v1/records/customer", json={"name": "Ada", "tier": None})
    assert (created.status_code, created.json()) == (201, {"id": 1, "name": "Ada", "tier": None})
    changed = await http.patch("/v1/records/customer/1", json={"tier": "gold"})
    assert (changed.status_code, changed.json()) == (200, {"id": 1, "name": "Ada", "tier": "gold"})
    assert (await http.get("/v1/records/customer/1")).json() == changed.json()
    deleted = await http.delete("/v1/records/customer/1")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert len({answer.headers["Bothways-Token"] for answer in (created, changed, deleted)}) == 3
    assert (await http.get("/v1/records/customer/1")).status_code == 404


async def test_pages_follow_the_cursor_to_the_end(http: httpx.AsyncClient) -> None:
    """Every record once, in order; the last page has no cursor."""
    for number in range(7):
        await http.post("/v1/records/customer", json={"name": f"n{number}"})
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = (
            await http.get("/v1/records/customer", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))
        ).json()
        assert set(page) == {"data", "next_cursor"}
        seen += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [1, 2, 3, 4, 5, 6, 7]


async def test_requests_with_one_key_write_once(http: httpx.AsyncClient, records: MemoryRecords) -> None:
    """Thirty at the same time: one record, one token, the same answer for all; repeats say that they are."""
    answers = await asyncio.gather(
        *(http.post("/v1/records/customer", json={"name": "Ada"}, headers={"Idempotency-Key": "k"}) for _ in range(30))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({(answer.text, answer.headers["Bothways-Token"]) for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert records.writes == 1


async def test_a_key_belongs_to_one_body(http: httpx.AsyncClient, records: MemoryRecords) -> None:
    """The same key with another body is refused and writes nothing."""
    headers = {"Idempotency-Key": "k"}
    await http.post("/v1/records/customer", json={"name": "Ada"}, headers=headers)
    other = await http.post("/v1/records/customer", json={"name": "Eve"}, headers=headers)
    assert other.status_code == 422
    assert records.writes == 1


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer", "Basic dGhlLWtleQ==", "the-key"])
async def test_nothing_without_a_key(
    http: httpx.AsyncClient, records: MemoryRecords, authorization: str | None
) -> None:
    """Every operation needs a key that is known; without one nothing is read or written."""
    records.rows[1] = {"id": 1}
    http.headers.pop("Authorization")
    headers = {"Authorization": authorization} if authorization else {}
    for method, path in [("GET", ""), ("POST", ""), ("GET", "/1"), ("PATCH", "/1"), ("DELETE", "/1")]:
        answer = await http.request(method, f"/v1/records/customer{path}", headers=headers, json={"name": "x"})
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert records.writes == 0


async def test_a_key_in_a_header_of_its_own(http: httpx.AsyncClient) -> None:
    """X-API-Key opens as well."""
    http.headers.pop("Authorization")
    assert (await http.get("/v1/records/customer", headers={"X-API-Key": "another"})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/v1/records/order", 404, "no entity order"),
        ("GET", "/v1/records/customer/99", 404, "no such customer"),
        ("GET", "/v1/records/customer/%00", 404, "no such record"),
        ("GET", "/v1/records/customer/", 404, "no such record"),
        ("GET", "/v1/records/customer?limit=0", 422, "limit"),
        ("GET", "/v1/records/customer?limit=1001", 422, "limit"),
        ("GET", "/v1/records/customer?limit=many", 422, "limit"),
        ("GET", "/v1/records/customer?cursor=%00", 422, "cursor"),
        ("PUT", "/v1/records/customer/1", 405, "method"),
        ("POST", "/healthz", 405, "method"),
        ("GET", "/v2/records", 404, "nothing at this address"),
        ("GET", "/webhooks/stripe", 404, "nothing at this address"),
    ],
)
async def test_what_cannot_be_asked_is_told(
    http: httpx.AsyncClient, method: str, path: str, status: int, says: str
) -> None:
    """A problem document with the status and what is wrong."""
    answer = await http.request(method, path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert says in answer.text


async def test_a_refused_method_names_the_others(http: httpx.AsyncClient) -> None:
    """``Allow`` lists every method of the path."""
    assert (await http.put("/v1/records/customer")).headers["Allow"] == "GET, POST"
    assert (await http.put("/v1/records/customer/1")).headers["Allow"] == "DELETE, GET, PATCH"


@pytest.mark.parametrize(
    ("headers", "body", "status", "says"),
    [
        ({"Content-Type": "application/json"}, b"{", 400, "not JSON"),
        ({"Content-Type": "application/json"}, b"[1]", 400, "must be a JSON object"),
        ({"Content-Type": "application/json"}, b'{"a":' * 100_000, 400, "nested deeper"),
        ({"Content-Type": "application/json"}, b'{"a":"' + b"x" * 1_048_576 + b'"}', 413, "larger than"),
        ({"Content-Type": "text/plain"}, b"{}", 415, "application/json"),
        ({}, b"{}", 415, "application/json"),
        ({"Content-Type": "application/json"}, b'{"name": 5}', 422, "name"),
        ({"Content-Type": "application/json", "Idempotency-Key": ""}, b"{}", 400, "Idempotency-Key"),
        ({"Content-Type": "application/json", "Idempotency-Key": "x" * 256}, b"{}", 422, "Idempotency-Key"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_told(
    http: httpx.AsyncClient, records: MemoryRecords, headers: dict[str, str], body: bytes, status: int, says: str
) -> None:
    """With the reason; nothing is written, and the server goes on."""
    answer = await http.post("/v1/records/customer", content=body, headers=headers)
    assert answer.status_code == answer.json()["status"] == status
    assert says in answer.text
    assert records.writes == 0
    assert (await http.get("/healthz")).status_code == 200
