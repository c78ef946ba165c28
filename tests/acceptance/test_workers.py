"""Several processes, clean stops, the allowed rate, and a key that is refused."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.acceptance.installation import Installation, Json
from tests.acceptance.standing import prepared
from tests.servers.shared import free_ports

RATE = 25
BURST_SECONDS = 5


@pytest.fixture
def shop(tmp_path: Path, postgres_server: str) -> Iterator[Installation]:
    """On the embedded log; nothing of it runs yet."""
    with prepared(tmp_path, postgres_server) as ready:
        yield ready


@pytest.mark.parametrize("log", ["sqlite", "kafka"])
def test_workers_share_and_a_second_capture_takes_over(
    tmp_path: Path, postgres_server: str, request: pytest.FixtureRequest, log: str
) -> None:
    """Two that deliver share the records; of two that capture one waits, until the other is killed."""
    url = request.getfixturevalue("kafka_url") if log == "kafka" else "sqlite"
    with prepared(tmp_path, postgres_server, log=url) as shop:
        shop.change_settings("partitions = 3", "partitions = 6")
        shop.start("receive", "--only", "receive,serve")
        shop.wait_ready()
        shop.start("first", "--only", "capture")
        shop.until(partial(reader_of_the_slot, shop), "the first captures")
        shop.start("second", "--only", "capture")
        workers = dict(zip(("one", "two"), free_ports(2), strict=True))
        for name, port in workers.items():
            shop.start(name, "--only", "deliver", "--listen", f"127.0.0.1:{port}")
        wave = itertools.count()

        def all_work() -> bool:
            insert(shop, 10, f"wave{next(wave)}.")
            return all(delivered(port) for port in workers.values())

        shop.until(all_work, "each worker delivers")
        shop.wait_equal()
        shop.kill("first")
        insert(shop, 30, "after")
        shop.kill("one")
        shop.wait_equal()
        assert [shop.stop(name) for name in ("two", "second", "receive")] == [0] * 3


def test_a_stop_under_load_loses_nothing(shop: Installation) -> None:
    """SIGTERM again and again in the middle of the work: each time exit code 0; at the end both sides are equal."""
    stop = threading.Event()
    editing = threading.Thread(target=edit_until, args=(shop, stop))
    shop.start()
    shop.wait_ready()
    editing.start()
    try:
        for _ in range(3):
            time.sleep(1.0)  # what is under way then is up to chance
            began = time.monotonic()
            assert shop.stop() == 0, shop.said("up")
            assert time.monotonic() - began < 10
            shop.start()
            shop.wait_ready()
    finally:
        stop.set()
        editing.join()
    shop.wait_equal()
    assert shop.letters() == []
    assert "Traceback" not in shop.said("up")


def test_the_allowed_rate_is_not_exceeded(tmp_path: Path, postgres_server: str) -> None:
    """Stripe's 25 calls a second for test keys: a burst of creations gets no 429. `make bench` measures its use."""
    options = ("--rate", str(RATE))
    with prepared(tmp_path, postgres_server, sandbox_options=options, rate=RATE, poll="60s") as shop:
        shop.change_settings('match_on = ["email"]', "match_on = []")  # else each creation looks for a match first
        shop.start()
        shop.wait_ready()
        insert(shop, RATE * (BURST_SECONDS + 1), "rate")
        shop.until(lambda: len(created(shop)) >= RATE * BURST_SECONDS, "a burst of creations")
        assert shop.stripe.admin.state()["rate_limited"] == 0


def test_a_key_that_is_refused_pauses_and_blames_no_record(shop: Installation) -> None:
    """The program says so, keeps everything, and goes on once the key is right."""
    shop.start()
    shop.wait_ready()
    key, remote_id = shop.add_linked(name="before", email="paused@example.org")
    shop.stop()
    shop.stripe.admin.fault("unavailable", status=401)
    shop.start()
    shop.until(lambda: shop.readiness(), "it answers")
    shop.sql("UPDATE customers SET name = 'while refused' WHERE id = %s", key)
    insert(shop, 5, "refused")
    shop.until(partial(says, shop, "paused"), "not ready, since the system is paused")
    assert shop.letters() == []
    assert shop.stop() == 0
    shop.stripe.admin.end_faults()
    shop.start()
    shop.wait_ready()
    shop.until(lambda: (shop.customer(remote_id) or {})["name"] == "while refused", "what waited is sent")
    shop.wait_equal()
    assert shop.letters() == []


def insert(shop: Installation, count: int, name: str) -> None:
    """Rows in one statement."""
    shop.sql(
        "INSERT INTO customers (name, email) "
        "SELECT %s || n, %s || n || '@example.org' FROM generate_series(1, %s) AS n",
        name,
        name,
        count,
    )


def delivered(port: int) -> float:
    """How much a worker has sent to Stripe."""
    with contextlib.suppress(httpx.TransportError):  # it does not listen yet
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        name = 'bothways_delivered_total{direction="out"} '
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))
    return 0


def reader_of_the_slot(shop: Installation) -> int | None:
    """The server's process that feeds whoever captures."""
    found = shop.sql("SELECT active_pid FROM pg_replication_slots WHERE database = current_database()")
    return found[0]["active_pid"] if found else None


def edit_until(shop: Installation, stop: threading.Event) -> None:
    """People who work on both sides."""
    with psycopg.connect(shop.database, autocommit=True) as connection:
        for number in itertools.count():
            if stop.wait(0.01 if number < 300 else 0.2):
                return
            connection.execute(
                "INSERT INTO customers (name, email) VALUES (%s, %s)", [f"n{number}", f"stop{number}@example.org"]
            )
            connection.execute("UPDATE customers SET city = %s WHERE id = %s", [f"c{number}", number // 2])
            if number % 5 == 0:
                shop.stripe.admin.create("customer", name=f"there {number}", email=f"there{number}@example.org")


def created(shop: Installation) -> list[Json]:
    """The creations that Stripe was asked for."""
    return [
        each
        for each in shop.stripe.admin.requests()
        if (each["method"], each["path"], each["status"]) == ("POST", "/v1/customers", 200)
    ]


def says(shop: Installation, word: str) -> bool:
    """Whether the program is not ready, and why."""
    answer = shop.readiness()
    return answer is not None and answer.status_code == 503 and word in json.dumps(answer.json())
