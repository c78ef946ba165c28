"""The page's files and who may have them, over HTTP; a browser works the page in ``tests/acceptance``."""

from __future__ import annotations

import asyncio
import re
import zipfile
from pathlib import Path

import httpx
import pytest
from hatchling.build import build_wheel

from bothways.sandbox.stripe import Running, Sandbox, Settings, create_app
from bothways.sandbox.stripe.dashboard import files

ROOT = Path(__file__).parents[3]
STATIC = Path(files.__file__).parent / "static"


async def test_the_page_loads_its_own_files_only(stripe_sandbox: Running, http: httpx.AsyncClient) -> None:
    """Every file that one of them names is there, with its type; a policy forbids everything else; nothing is kept."""
    seen: set[str] = set()
    wanted = {"index.html"}
    while wanted:
        name = wanted.pop()
        seen.add(name)
        answer = await http.get(f"/dashboard/{'' if name == 'index.html' else name}")
        assert answer.status_code == 200, name
        assert answer.headers["Content-Type"] == files.TYPES["." + name.rpartition(".")[2]]
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        named = re.findall(r"""(?:src|href)="([^"#]+)"|from "\./([^"]+)"|url\(([^)]+)\)""", answer.text)
        wanted |= {next(filter(None, found)) for found in named} - seen
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", answer.text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", answer.text), name
    assert seen == {each.name for each in STATIC.iterdir()}


@pytest.mark.parametrize("path", ["/", "/dashboard"])
async def test_addresses_that_lead_to_the_page(stripe_sandbox: Running, http: httpx.AsyncClient, path: str) -> None:
    """People type them."""
    answer = await http.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (307, "/dashboard/")


@pytest.mark.parametrize(
    "path",
    [
        "../guard.py",
        "%2e%2e/guard.py",
        "..%2fguard.py",
        "%2e%2e%5cguard.py",
        "static/page.js",
        "page.js%00.css",
        "/",
        "%ff",
    ],
)
async def test_no_path_leads_anywhere_else(stripe_sandbox: Running, path: str) -> None:
    """The files are a table."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(stripe_sandbox.url.rpartition(":")[2]))
    writer.write(f"GET /dashboard/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer[:200]


OURS = "http://127.0.0.1:12111"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Host": "localhost:12111"}, True),
        ({"Host": "[::1]:12111", "Origin": "http://[::1]:12111"}, True),
        ({"Origin": OURS, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1:9"}, False),
        ({"Origin": "http://localhost:12111"}, False),
        ({"Origin": "https://example.org"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Host": "example.org:12111", "Origin": "http://example.org:12111"}, False),
        ({"Host": "127.0.0.1.example.org"}, False),
        ({"Host": "["}, False),
        ({"Host": ""}, False),
    ],
)
async def test_whose_requests_are_heard(headers: dict[str, str], allowed: bool) -> None:
    """Programs of this machine and the page itself; no other page, no other name, whatever the method."""
    sandbox = Sandbox()
    transport = httpx.ASGITransport(app=create_app(sandbox), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=OURS, headers=headers) as caller:
        made = await caller.post("/_sandbox/edit", json={"object": "customer", "params": {"name": "Ada"}})
        read = await caller.get("/_sandbox/objects/customer")
    assert (made.status_code, read.status_code) == ((200, 200) if allowed else (403, 403))
    assert len(sandbox.state.all("customer")) == allowed


async def test_the_page_is_for_this_machine() -> None:
    """From elsewhere there is no page, unless the sandbox is open; never under a name that points here."""
    transport = httpx.ASGITransport(app=create_app(Sandbox()), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url=OURS) as far:
        assert (await far.get("/dashboard/")).status_code == 403
    opened = httpx.ASGITransport(app=create_app(Sandbox(Settings(open=True))), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=opened, base_url=OURS) as far:
        assert (await far.get("/dashboard/")).status_code == 200
        assert (await far.get("/_sandbox/state", headers={"Origin": "https://example.org"})).status_code == 403
        assert (await far.get("/_sandbox/state", headers={"Host": "example.org"})).status_code == 403
    here = httpx.ASGITransport(app=create_app(Sandbox()), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=here, base_url="http://example.org") as renamed:
        assert (await renamed.get("/dashboard/")).status_code == 403


async def test_whoever_looks_on_is_woken(stripe_sandbox: Running, http: httpx.AsyncClient) -> None:
    """By edits, requests to the API, deliveries and faults; each only once."""
    revision = (await http.get("/_sandbox/changes?after=0")).json()["revision"]
    for path, body in (("edit", {"object": "customer"}), ("faults", {"fault": "slow", "path": "/x"}), ("reset", {})):
        waiting = asyncio.create_task(http.get(f"/_sandbox/changes?after={revision}"))
        (await http.post(f"/_sandbox/{path}", json=body)).raise_for_status()
        async with asyncio.timeout(10):
            reached = (await waiting).json()["revision"]
        assert reached > revision
        revision = (await http.get("/_sandbox/changes?after=0")).json()["revision"]
    waiting = asyncio.create_task(http.get(f"/_sandbox/changes?after={revision}"))
    await http.get("/v1/customers")
    async with asyncio.timeout(10):
        assert (await waiting).json()["revision"] > revision


async def test_lists_are_found_in(stripe_sandbox: Running, http: httpx.AsyncClient) -> None:
    """The newest first, as many as asked for, by text anywhere in their values."""
    for name in ("Ada", "Grace", "Alan"):
        stripe_sandbox.sandbox.create("customer", name=name, metadata={"born": f"year of {name}"})
    newest = (await http.get("/_sandbox/records/customer?limit=2")).json()
    assert ([each["name"] for each in newest["data"]], newest["has_more"], newest["count"]) == (
        ["Alan", "Grace"],
        True,
        3,
    )
    found = (await http.get("/_sandbox/records/customer?contains=OF%20ada")).json()["data"]
    assert [each["name"] for each in found] == ["Ada"]
    of_one = (await http.get(f"/_sandbox/record/customer/{found[0]['id']}")).json()
    assert [each["type"] for each in of_one["events"]] == ["customer.created"]
    assert len((await http.get("/_sandbox/events?contains=customer.created&limit=9")).json()["data"]) == 3
    for wrong in ("records/dog", "records/customer?limit=x", "event/evt_none", "events?limit=-1", "changes?after=1e9"):
        assert (await http.get(f"/_sandbox/{wrong}")).status_code in (400, 404), wrong


def test_the_wheel_has_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who installs bothways has every file of it."""
    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / build_wheel(str(tmp_path))) as wheel:
        packed = {name.rpartition("/")[2] for name in wheel.namelist() if "/dashboard/static/" in name}
    assert packed == {each.name for each in STATIC.iterdir()}


async def test_a_stranger_s_form_cannot_use_the_api(stripe_sandbox: Running, http: httpx.AsyncClient) -> None:
    """A browser takes a key from a form's address; where the form stands it cannot hide."""
    refused = await http.post("/v1/customers", data={"name": "forged"}, headers={"Origin": "https://example.org"})
    assert refused.status_code == 403
    assert stripe_sandbox.sandbox.state.all("customer") == []
