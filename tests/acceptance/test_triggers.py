"""No logical replication to be had: triggers and an outbox instead. Both directions, no loop, whatever is killed."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bothways.eventlog.codec import POSITION
from tests.acceptance import topics
from tests.acceptance.installation import Installation, installed
from tests.acceptance.load import Load
from tests.acceptance.test_kill import kill_again_and_again
from tests.servers.sandbox import SandboxProcess

BY_TRIGGERS = 'url = "env:DATABASE_URL"\ncapture = "triggers"\n'


@pytest.fixture
def by_triggers(tmp_path: Path, database: str, stripe_process: SandboxProcess) -> Iterator[Installation]:
    """An installation that captures by triggers."""
    with installed(tmp_path, database, stripe_process) as ready:
        ready.change_settings('url = "env:DATABASE_URL"\n', BY_TRIGGERS)
        yield ready


def test_both_directions_without_a_loop(by_triggers: Installation) -> None:
    """An edit here gets there and one there gets here, each written once; no slot, no publication."""
    shop = by_triggers
    shop.start()
    shop.wait_ready()
    key, customer = shop.add_linked(name="Ada", email="ada@example.org")
    shop.wait_equal()
    before = shop.wait_quiet()
    shop.sql("UPDATE customers SET name = 'Ada L.' WHERE id = %s", key)
    shop.wait_equal()
    assert shop.wait_quiet() == before + 1
    shop.stripe.admin.edit("customer", customer, phone="+49 1", name="by hand")
    shop.until(lambda: (shop.row(customer) or {}).get("phone") == "+49 1", "the edit made by hand is here")
    shop.wait_equal()
    assert shop.wait_quiet() == before + 1
    shop.sql("DELETE FROM customers WHERE id = %s", key)
    shop.until(lambda: shop.customer(customer) is None, "the customer is gone")
    assert shop.sql("SELECT FROM pg_replication_slots WHERE database = current_database()") == []
    assert shop.sql("SELECT FROM pg_publication") == []
    status = shop.run("status")
    assert "outbox, read now, 0 changes waiting" in status.stdout
    assert json.loads(shop.run("status", "--json").stdout)["outbox"]["active"] is True
    page = shop.http("GET", "/metrics").text
    assert "bothways_capture_outbox_rows 0.0" in page
    assert "bothways_capture_oldest_transaction_seconds" in page
    assert shop.stop() == 0
    assert "dropped the schema" in shop.run("teardown", "--yes").stdout
    assert shop.sql("SELECT FROM pg_trigger WHERE NOT tgisinternal") == []


def test_kills(by_triggers: Installation) -> None:
    """As with the WAL: at the end both sides are equal, and nothing was doubled."""
    kill_again_and_again(by_triggers, 5, 7)


def test_the_other_way_and_back(by_triggers: Installation) -> None:
    """Another word in the settings, and a restart: what was written meanwhile gets there, too."""
    shop = by_triggers
    shop.start()
    shop.wait_ready()
    shop.add_linked(name="first")
    for setting, other in (('"triggers"', '"log"'), ('"log"', '"triggers"')):
        assert shop.stop() == 0
        shop.add(name=f"while nobody looks, before {other}")
        shop.change_settings(f"capture = {setting}", f"capture = {other}")
        shop.start()
        shop.wait_ready()
        shop.add(name=f"with {other}")
        shop.wait_equal()
    assert shop.sql("SELECT FROM pg_replication_slots WHERE database = current_database()") == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_a_change_of_the_way_that_is_killed_in_its_middle(installation: Installation, seed: int) -> None:
    """Again and again, in the middle of the set-up, under load: each change is on the log once, and all is equal."""
    shop, chance, way = installation, random.Random(seed), "log"
    shop.change_settings('url = "env:DATABASE_URL"\n', f'url = "env:DATABASE_URL"\ncapture = "{way}"\n')
    shop.start("rest", "--only", "deliver,receive,serve")
    shop.wait_ready()
    with Load(shop, seed) as load:
        for _ in range(10):
            shop.start("capture", "--only", "capture")
            time.sleep(chance.uniform(0.7, 3.5))
            shop.kill("capture")
            if chance.random() < 0.7:
                way = _change_way(shop, way)
    if shop.run("setup").returncode:  # a change that is under way has to be finished the way it began
        other = _change_way(shop, way)
        assert shop.run("setup").returncode == 0
        _change_way(shop, other)
        assert shop.run("setup").returncode == 0
    shop.start("capture", "--only", "capture")
    shop.wait_equal()
    load.check()
    found = Counter(each.header(POSITION) for each in topics.messages(shop) if each.value is not None)
    assert set(found.values()) == {1}


def _change_way(shop: Installation, way: str) -> str:
    """The other way of capture, from the next start on."""
    other = {"log": "triggers", "triggers": "log"}[way]
    shop.change_settings(f'capture = "{way}"', f'capture = "{other}"')
    return other
