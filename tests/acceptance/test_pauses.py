"""Pausing and resuming, and the brake on mass deletion, with several workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.standing import prepared
from tests.servers.shared import free_ports

MOST = 5


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """Where the two that deliver can be asked."""
    one, two = free_ports(2)
    return one, two


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str, ports: tuple[int, int]
) -> Iterator[Installation]:
    """One process that does everything but delivery, and two that deliver; more than five deletions a minute ask."""
    with prepared(tmp_path_factory.mktemp("shop"), postgres_server) as ready:
        ready.change_settings('poll = "2s"', f'poll = "2s"\nmax_deletions = {MOST}')
        ready.start("rest", "--only", "receive,capture,serve")
        ready.wait_ready()
        for name, port in zip(("one", "two"), ports, strict=True):
            ready.start(name, "--only", "deliver", "--listen", f"127.0.0.1:{port}")
            ready.until(partial(_ready, port), f"{name} delivers")
        yield ready


@pytest.fixture(autouse=True)
def nothing_left(shop: Installation) -> Iterator[None]:
    """Each test begins and ends with nothing on either side, and every direction open."""
    yield
    shop.sql("DELETE FROM customers")
    shop.until(lambda: _allowed(shop), "all is gone")
    _done(shop, "resume", "stripe", "--allow-deletions")  # these are not counted among the next test's


def test_what_is_paused_waits_and_is_delivered_after(shop: Installation, ports: tuple[int, int]) -> None:
    """Edits on both sides and a new row wait over the death of a worker; nothing else does; then all of it arrives."""
    key, remote_id = shop.add_linked(name="Ada", email="ada@example.org")
    paused = json.loads(_done(shop, "pause", "stripe", "--json"))
    assert [(each["direction"], len(each["paused"])) for each in paused] == [("out", 1), ("in", 1)]
    for port in ports:
        shop.until(partial(_sees, port, {"stripe out", "stripe in"}), "the workers see it")
        assert _ready(port), "a paused system is not down"
    writes = shop.writes()
    shop.sql("UPDATE customers SET name = 'Ada L.' WHERE id = %s", key)
    other = shop.add(name="Grace", email="grace@example.org")
    shop.stripe.admin.edit("customer", remote_id, phone="+441")
    told = {"out": {_key(key), _key(other)}, "in": {remote_id}}
    shop.until(lambda: all(told[way] <= _waiting(shop)[way] for way in told), "all of it waits in the state")
    port = ports[0]
    _starts_again(shop, port)
    shop.until(lambda: 'bothways_paused{direction="out",system="stripe"} 1.0' in _metrics(port), "it says so, too")
    assert "by hand" in _done(shop, "status")
    assert (shop.writes(), shop.rows()[0]["phone"], shop.customer_of(other)) == (writes, None, None)
    assert "goes on" in _done(shop, "resume", "stripe", "--direction", "in")
    shop.until(lambda: shop.rows()[0]["phone"] == "+441", "inward goes on")
    assert shop.writes() == writes
    _done(shop, "resume", "stripe")
    shop.wait_equal()
    shop.until(lambda: not any(_waiting(shop).values()), "nothing waits any more")
    refused = shop.run("pause", "strip")
    assert (refused.returncode, "stripe" in refused.stderr) == (2, True)


def test_a_mass_of_deletions_asks_first(shop: Installation) -> None:
    """Of the rows that somebody deletes at once as many customers as are allowed, whoever works; the rest waits."""
    pairs = [shop.add_linked(name=f"n{number}", email=f"n{number}@example.org") for number in range(14)]
    shop.sql("DELETE FROM customers WHERE id <> %s", pairs[0][0])
    shop.until(lambda: len(shop.customers()) == 14 - MOST, "as many are deleted as may be")
    others = {_key(pairs[0][0])}
    others |= {_key(key) for key, remote_id in pairs[1:] if shop.customer(remote_id)}
    shop.sql("UPDATE customers SET name = 'waits, too'")
    shop.until(lambda: others <= _waiting(shop)["out"], "the others wait, and so does everything of the direction")
    shop.stripe.admin.edit("customer", pairs[0][1], phone="+442")
    shop.until(lambda: shop.rows()[0]["phone"] == "+442", "the other direction goes on")
    no = shop.run("resume", "stripe")
    assert (no.returncode, "--allow-deletions" in no.stderr) == (1, True)
    assert len(shop.customers()) == 14 - MOST
    key, remote_id = pairs[1]
    shop.sql("INSERT INTO customers (id, name, stripe_customer_id) VALUES (%s, 'put back', %s)", key, remote_id)
    _done(shop, "resume", "stripe", "--allow-deletions")
    shop.until(lambda: len(shop.customers()) == 2, "what is not there any more is deleted, what was put back is not")
    shop.wait_equal()


def test_a_mass_of_deletions_at_stripe_asks_first(shop: Installation) -> None:
    """The rows of customers that somebody deletes there stay, but for as many as are allowed."""
    pairs = [shop.add_linked(name=f"n{number}", email=f"n{number}@example.org") for number in range(12)]
    for _, remote_id in pairs:
        shop.stripe.admin.delete("customer", remote_id)
    shop.until(lambda: len(shop.rows()) == 12 - MOST, "as many are deleted as may be")
    others = {str(row["stripe_customer_id"]) for row in shop.rows()}
    shop.until(lambda: others <= _waiting(shop)["in"], "the others wait")
    assert len(shop.rows()) == 12 - MOST
    _done(shop, "resume", "stripe", "--direction", "in", "--allow-deletions")
    shop.until(lambda: shop.rows() == [], "all of them are deleted")
    assert shop.letters() == []


def _done(shop: Installation, *arguments: str) -> str:
    """A command that works; what it prints."""
    done = shop.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _allowed(shop: Installation) -> bool:
    """Allow what is held; whether both sides are empty."""
    if any(_waiting(shop).values()):
        _done(shop, "resume", "stripe", "--allow-deletions")
    return not shop.rows() and not shop.customers() and not any(_waiting(shop).values())


def _waiting(shop: Installation) -> dict[str, set[str]]:
    """The keys of what waits, each way. What is told twice, by a webhook and a poll, may wait twice, as pieces."""
    found = shop.sql("SELECT DISTINCT waits_on, key FROM bothways.parked")
    return {way: {each["key"] for each in found if each["waits_on"] == f"lane:stripe:{way}"} for way in ("out", "in")}


def _key(id: int) -> str:
    """A row's, as it is parked."""
    return json.dumps({"id": id}, separators=(",", ":"))


def _sees(port: int, paused: set[str]) -> bool:
    return set(_page(port, "readyz")["paused"]) == paused


def _page(port: int, name: str) -> Any:
    return httpx.get(f"http://127.0.0.1:{port}/{name}").json()


def _metrics(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics").text


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _starts_again(shop: Installation, port: int) -> None:
    """One of the workers is killed and takes up its work anew."""
    shop.kill("one")
    shop.start("one", "--only", "deliver", "--listen", f"127.0.0.1:{port}")
    shop.until(lambda: _ready(port), "it delivers again")
