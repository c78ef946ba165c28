"""Attackers at every address: told with a 4xx or cut off, nothing is written, and others are served meanwhile."""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from bothways.sandbox.stripe.webhooks import sign
from tests.acceptance.attackers import (
    JSON,
    KEY,
    SECONDS,
    SQL,
    TEXTS,
    bystander,
    exchange,
    head,
    memory_bytes,
    nothing_is_written,
    post,
)
from tests.acceptance.installation import Installation
from tests.acceptance.standing import prepared

RECORDS = "/v1/records/customer"
HOOK = "/webhooks/stripe"
SOAK = int(os.environ.get("BOTHWAYS_SOAK_REQUESTS", "100000"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Installation]:
    """An installation with API keys, for all tests of this module."""
    with prepared(tmp_path_factory.mktemp("target"), postgres_server) as installation:
        installation.change_settings("[http]\n", f'[http]\napi_keys = ["another", "{KEY}"]\n')
        installation.start()
        installation.wait_ready()
        yield installation


@pytest.fixture
def row(target: Installation) -> int:
    """A row that has its customer, and nothing under way."""
    key, _ = target.add_linked(name="Ada")
    target.wait_quiet(0.3)
    return key


def client(target: Installation, **headers: str) -> httpx.Client:
    """Somebody with the key."""
    headers = {"Authorization": f"Bearer {KEY}", **headers}
    return httpx.Client(base_url=f"http://127.0.0.1:{target.port}", headers=headers, timeout=SECONDS)


def raw_requests(limit: int) -> list[bytes]:
    """What no client of good will sends."""
    large = head("POST", RECORDS, b"Transfer-Encoding: chunked")
    paths = [
        "/..",
        "/../v1/records/customer",
        "//",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%00",
        "/%c0%ae%c0%ae/",
        "/v1%2frecords",
    ]
    paths += [
        f"{RECORDS}/{each}" for each in ("..", "%2e%2e", "a%2fb", "%00", "%ff", "%c0%af", "1/../2", "%", ";x", "1#2")
    ]
    paths += [
        "/webhooks/..",
        "/webhooks/%00",
        "/webhooks/" + "x" * 5000,
        "/docs/../healthz",
        "/metrics%0d%0aX: 1",
        "*",
        "/?" * 1000,
    ]
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    return [
        *(head(method, path) for path in paths for method in ("GET", "DELETE")),
        *(head(method, RECORDS) for method in ("TRACE", "CONNECT", "BREW", "get", "PRI", "PROPFIND", "A" * 5000)),
        large + chunk * (limit // 65_536 + 2),
        large + b'5\r\n{"nam',
        large + b"-5\r\nabcde\r\n0\r\n\r\n",
        large + b"FFFFFFFFFFFFFFFFFF\r\nx",
        large + b"zz\r\n",
        large + b"2;" + b"x" * 100_000 + b"\r\n[]\r\n0\r\n\r\n",
        head("POST", RECORDS, b"Content-Length: 5", b"Content-Length: 6") + b"{}{}{}",
        head("POST", RECORDS, b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head("POST", RECORDS, b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
        head("POST", RECORDS, b"Content-Length: -1") + b"{}",
        head("POST", RECORDS, b"Content-Length: 99999999999999999999999") + b"{}",
        head("POST", RECORDS, b"Content-Length: 1e3") + b"{}",
        head("POST", RECORDS, b"Content-Length: 100") + b"{}",
        head("POST", RECORDS, b"Expect: 100-continue", b"Content-Length: 5000000"),
        head("GET", "/healthz", *(b"X-%d: y" % number for number in range(20_000))),
        head("GET", "/healthz", b"X: " + b"y" * 1_000_000),
        head("GET", "/" + "x" * 1_000_000),
        head("GET", "/healthz", b"X: a\x00b"),
        head("GET", "/healthz", b"Host: two"),
        head("GET", "/healthz", b"Connection: Upgrade", b"Upgrade: h2c"),
        head("GET", "/healthz", b" folded: header"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET http://other.example/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 10_000,
        b"\x00" * 10_000,
        b"GET /healthz HTTP/1.1\nHost: x\n\n",
        head("GET", "/healthz", close=False) * 500 + b"GARBAGE\r\n\r\n",
        (head("POST", RECORDS, b"Content-Length: 2", close=False) + b"[]") * 200,
    ]


def test_bytes_that_are_no_request(target: Installation, row: int) -> None:
    """Lengths that do not fit, bodies without end, floods of headers, paths that climb, other protocols."""
    with nothing_is_written(target), ThreadPoolExecutor(8) as attackers:
        found = list(
            attackers.map(lambda raw: (raw[:80], exchange(target.port, raw, timeout=1)), raw_requests(1_048_576))
        )
    assert [each for each in found if any(status >= 500 for status in each[1])] == []
    assert target.http("GET", "/readyz").status_code == 200


def test_bodies_that_are_no_record(target: Installation, row: int) -> None:
    """Deep, huge, doubled, cut, not UTF-8; with the key, and at the webhooks with the right signature."""
    now = int(time.time())
    with nothing_is_written(target):
        for body in JSON:
            signature = f"Stripe-Signature: {sign(body, [target.secret], now)}".encode()
            for raw in (
                post(RECORDS, body),
                post(f"{RECORDS}/{row}", body, method="PATCH"),
                post(HOOK, body, signature),
            ):
                statuses = exchange(target.port, raw)
                assert len(statuses) == 1, (raw[:100], statuses)
                assert 400 <= statuses[0] < 500, (raw[:100], raw[-100:], statuses)


def hostile(
    chance: random.Random, operations: list[tuple[str, str]], row: int
) -> tuple[str, str, dict[str, str], bytes]:
    """A request to one of these operations: method, address, headers, body."""
    method, template = chance.choice(operations)
    texts = [*SQL, *TEXTS]

    def pick() -> str:
        text = chance.choice([*texts, str(row), "customer"])
        return quote(text, safe=chance.choice(["", "/%"]), errors="replace")

    path = template.replace("{entity}", chance.choice(["customer", "customer", "product", pick()]))
    path = path.replace("{key}", pick()).replace("{system}", chance.choice(["stripe", pick()]))
    if chance.random() < 0.5:
        path += "?" + "&".join(f"{chance.choice(['limit', 'cursor', 'where', pick()])}={pick()}" for _ in range(2))
    headers = {}
    if chance.random() < 0.5:
        names = ["Idempotency-Key", "Stripe-Signature", "Cursor", "X-Forwarded-For", "Content-Type", "Accept-Encoding"]
        value = chance.choice(texts).encode("utf-8", "replace").decode("latin-1")
        headers[chance.choice(names)] = "".join(char for char in value if char >= " ")
    values: list[object] = [None, True, -1, 2**70, 1.5, [], {}, *texts]
    columns = ["name", "email", "phone", "points", "id", "nothing", *SQL]
    body = json.dumps({chance.choice(columns): chance.choice(values) for _ in range(chance.randint(0, 3))}).encode()
    return method, path, headers, chance.choice([body, body, chance.choice(JSON)])


def attack(target: Installation, row: int, seed: int, count: int, key: str | None) -> list[tuple[int, Any]]:
    """So many hostile requests to what the reference lists: status and request of each."""
    operations = [
        (method.upper(), path)
        for path, methods in target.http("GET", "/openapi.json").json()["paths"].items()
        for method in methods
    ]
    chance, found = random.Random(seed), []
    for _ in range(count // 50):
        sent = [hostile(chance, operations, row) for _ in range(50)]
        raw = b""
        for method, path, headers, body in sent:
            lines = [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
            raw = post(path, body, *lines, method=method, key=key)
            statuses = exchange(target.port, raw)
            found.append((statuses[0] if len(statuses) == 1 else 999, raw[:300]))
    return found


@pytest.mark.parametrize("count", [1000, pytest.param(SOAK, marks=pytest.mark.soak)])
def test_hostile_values_with_the_key(target: Installation, row: int, count: int) -> None:
    """SQL and worse in every parameter of everything in the reference: no 5xx, and the tables are what they were."""
    other, _ = target.add_linked(name="bystander")
    with bystander(target, other), ThreadPoolExecutor(2) as attackers:
        found = attackers.map(lambda seed: attack(target, row, seed, count // 2, KEY), range(2))
        bad = [each for answers in found for each in answers if each[0] >= 500]
    assert bad == []
    tables = target.sql("SELECT count(*) FROM pg_tables WHERE tablename IN ('customers', 'products')")
    assert tables == [{"count": 2}]
    assert target.sql("SELECT 1 FROM customers WHERE name = 'injected'") == []
    target.until(lambda: target.http("GET", "/readyz").status_code == 200, "it is ready")


@pytest.mark.parametrize("key", [None, "wrong", KEY[:-1], KEY + "x", KEY.upper(), f"another {KEY}", "\xff" * 100, ""])
def test_without_a_right_key_nothing_is_written(target: Installation, row: int, key: str | None) -> None:
    """Whatever else is right or wrong about the request."""
    with nothing_is_written(target):
        for method, path in (("POST", RECORDS), ("PATCH", f"{RECORDS}/{row}"), ("DELETE", f"{RECORDS}/{row}")):
            assert exchange(target.port, post(path, b'{"name":"forged"}', method=method, key=key)) == [401]
        for status, raw in attack(target, row, 7, 50, key):
            assert status < 500, raw


def test_sql_is_text(target: Installation, row: int) -> None:
    """In every column it is stored as it is, and it is nothing anywhere else."""
    with client(target) as ours:
        for text in SQL:
            made = ours.post(RECORDS, json={"name": text, "email": None, "city": text, "tier": text})
            assert (made.status_code, made.json()["name"]) == (201, text)
            assert ours.get(RECORDS, params={"cursor": text}).status_code == 422
            assert ours.get(RECORDS, params={"limit": text}).status_code == 422
            for where in (f"{RECORDS}/{quote(text, safe='')}", f"/v1/records/{quote(text, safe='')}"):
                assert ours.get(where).status_code == 404
            assert ours.post(RECORDS, json={text: 1}).status_code == 422
            again = [ours.post(RECORDS, json={"name": "x"}, headers={"Idempotency-Key": text}) for _ in range(2)]
            assert [each.status_code for each in again] == [201, 201]
            assert again[0].json() == again[1].json()
    target.until(lambda: target.difference(row) is None, "both sides are equal", 30)


def test_signatures_forged_and_replayed(target: Installation, row: int) -> None:
    """Nothing forged is taken, and a genuine webhook that is played again does nothing again."""
    stripe_id = target.customer_of(row)
    assert stripe_id is not None
    target.stripe.admin.edit("customer", stripe_id, phone="1")
    target.stripe.admin.edit("customer", stripe_id, phone="2")
    target.until(lambda: target.difference(row) is None, "both sides are equal", 30)
    with httpx.Client(base_url=target.stripe.url, auth=(target.stripe.api_key, "")) as stripe:
        events = stripe.get("/v1/events", params={"type": "customer.updated"}).json()["data"]
    old = next(each for each in events if each["data"]["object"]["phone"] == "1")
    body, now = json.dumps(old).encode(), int(time.time())
    right = sign(body, [target.secret], now)
    digest = right.partition("v1=")[2]
    many = ",".join(["v1=" + "0" * 64] * 500)
    with nothing_is_written(target):
        for header in (
            *(sign(body, [secret], now) for secret in ("", "whsec_", target.secret[:-1], target.secret + " ")),
            *(sign(body, [target.secret], now + shift) for shift in (-301, -86_400, 400, 10**9)),
            *(sign(body + b" ", [target.secret], now), f"t={now},v0={digest}", f"t={now + 1},v1={digest}"),
            *(
                f"v1={digest}",
                f"t={now},{many}",
                f"t={now},v1={digest},{many}",
                f"t=0x10,v1={digest}",
                "t=,v1=",
                "," * 9000,
            ),
        ):
            assert exchange(target.port, post(HOOK, body, f"Stripe-Signature: {header}".encode(), key=None)) == [400]
    for _ in range(30):
        assert exchange(target.port, post(HOOK, body, f"Stripe-Signature: {right}".encode(), key=None)) == [200]
    before = target.writes()
    assert target.wait_quiet() == before
    seen = target.row(stripe_id)
    assert seen is not None
    assert seen["phone"] == "2"


def test_races(target: Installation, row: int) -> None:
    """A crowd at one record and under one idempotency key: each gets an answer, one effect, and others are served."""
    other, _ = target.add_linked(name="bystander")
    with bystander(target, other), ThreadPoolExecutor(50) as crowd, client(target) as ours:
        address = f"{RECORDS}/{row}"
        patched = list(crowd.map(lambda n: ours.patch(address, json={"name": f"n{n}", "city": f"n{n}"}), range(200)))
        assert {each.status_code for each in patched} <= {200, 503}
        assert sum(each.status_code == 200 for each in patched) >= 100
        headers = {"Idempotency-Key": "one of a crowd"}
        made = list(crowd.map(lambda _: ours.post(RECORDS, json={"name": "once"}, headers=headers), range(100)))
        assert {each.status_code for each in made} == {201}
        assert len({each.content for each in made}) == 1
        assert ours.post(RECORDS, json={"name": "twice"}, headers=headers).status_code == 422
        assert ours.patch(address, json={"name": "once"}, headers=headers).status_code == 422
    (now,) = target.sql("SELECT name, city FROM customers WHERE id = %s", row)
    assert now["name"] == now["city"]
    assert target.sql("SELECT count(*) FROM customers WHERE name = 'once'") == [{"count": 1}]
    assert target.sql("SELECT 1 FROM customers WHERE name = 'twice'") == []
    target.until(lambda: target.difference(row) is None, "both sides are equal", 30)


def silent(port: int, raw: bytes) -> socket.socket:
    """A connection that sends this and says no more."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    with suppress(ConnectionError):
        opened.sendall(raw)
    return opened


@pytest.mark.parametrize("waits", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_slow_and_half_open_connections(target: Installation, row: int, waits: bool) -> None:
    """Two thousand that begin and do not go on: others are served all the time, and none of them is kept."""
    unread = head("GET", "/openapi.json", close=False) * 200
    beginnings = (b"", b"GET /hea", head("GET", "/healthz")[:-2], head("POST", HOOK, b"Content-Length: 9"), unread)
    before = memory_bytes(target)
    with ExitStack() as held, bystander(target, row):
        opened = [
            held.enter_context(closing(silent(target.port, beginnings[number % len(beginnings)])))
            for number in range(2000)
        ]
        if waits:
            for each in opened:
                with suppress(ConnectionError):
                    while each.recv(65_536):
                        pass
    assert memory_bytes(target) - before < 100_000_000


def test_connections_where_files_are_few(target: Installation, row: int) -> None:
    """A process that may open two hundred files still reaches its database while five hundred connections are tried."""
    process = target.processes["up"].pid
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        with ExitStack() as held:
            for _ in range(500):
                held.enter_context(closing(silent(target.port, b"GET /hea")))
            with bystander(target, row):
                assert target.http("GET", "/readyz").status_code == 200
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)


def test_large_bodies_at_a_time(target: Installation, row: int) -> None:
    """Three hundred megabytes that are sent and not ended: a fraction of it is kept, and webhooks get through."""
    before = memory_bytes(target)
    large = head("POST", HOOK, b"Content-Length: 1048576", key=None) + b"x" * 1_048_575
    body = json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "type": "plan.created",
            "created": 1,
            "livemode": False,
            "data": {"object": {"id": "plan_1", "object": "plan"}},
        }
    ).encode()
    signed = f"Stripe-Signature: {sign(body, [target.secret], int(time.time()))}".encode()
    with nothing_is_written(target), ExitStack() as held:
        for _ in range(300):
            held.enter_context(closing(silent(target.port, large)))
        assert exchange(target.port, post(HOOK, body, signed, key=None)) == [200]
        assert memory_bytes(target) - before < 120_000_000
