"""Both sides edited while nobody looks, and while everybody does: they become equal, by the fields' policies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.standing import standing

RECORDS = 100
EDITS = 2000
FIELDS = ("name", "phone", "city")
"""``phone`` is Stripe's where both sides changed it, the others are the database's."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Installation]:
    """One with a hundred records that both sides have."""
    with standing(tmp_path_factory.mktemp("shop"), postgres_server, rate=2000) as ready:
        ready.sql(
            "INSERT INTO customers (name, email) "
            "SELECT 'n' || n, 'n' || n || '@example.org' FROM generate_series(1, %s) AS n",
            RECORDS,
        )
        ready.wait_equal()
        yield ready


@dataclass
class Edits:
    """Who set what last, per record and field, since both sides were equal."""

    rows: dict[tuple[int, str], str] = field(default_factory=dict)
    there: dict[tuple[int, str], str] = field(default_factory=dict)

    def expected(self, key: int, name: str, before: str | None) -> str | None:
        """What the field's policy makes of it."""
        here, there = self.rows.get((key, name)), self.there.get((key, name))
        first, second = (there, here) if name == "phone" else (here, there)
        return first or second or before

    @property
    def peaceful(self) -> int:
        """Records of which this side alone changed a field, and the other alone another."""
        mine, yours = self.rows.keys() - self.there.keys(), self.there.keys() - self.rows.keys()
        return len({key for key, _ in mine} & {key for key, _ in yours})

    @property
    def conflicts(self) -> int:
        """Fields that both sides changed."""
        return len(self.rows.keys() & self.there.keys())


def edit_both_sides(shop: Installation, seed: int, count: int) -> Edits:
    """Random edits of random fields, in any order, as fast as they can be made.

    Of every third record this side alone changes the name, and the other alone the phone.
    """
    chance, made = random.Random(seed), Edits()
    keys = {row["id"]: row["stripe_customer_id"] for row in shop.rows()}
    with psycopg.connect(shop.database, autocommit=True) as connection:
        for number in range(count):
            key, name = chance.choice(list(keys)), chance.choice(FIELDS)
            if chance.random() < (0.5 if key % 3 or name == "city" else name == "name"):
                value = made.rows[key, name] = f"here {seed}.{number}"
                connection.execute(f"UPDATE customers SET {name} = %s WHERE id = %s", [value, key])
            else:
                value = made.there[key, name] = f"there {seed}.{number}"
                change: dict[str, Any] = {"address": {"city": value}} if name == "city" else {name: value}
                shop.stripe.admin.edit("customer", keys[key], **change)
    return made


def test_edits_made_while_the_program_is_down(shop: Installation) -> None:
    """Thousands on both sides: each field has the value that its policy names, and each conflict is kept for people.

    Fields of one record that were changed on one side each both survive.
    """
    assert shop.stop() == 0
    before = {(row["id"], name): row[name] for row in shop.rows() for name in FIELDS}
    known = shop.sql("SELECT count(*) AS n FROM bothways.conflict")[0]["n"]
    made = edit_both_sides(shop, 1, EDITS)
    assert made.conflicts > 20
    assert made.peaceful > 20
    shop.start()
    shop.wait_ready()
    shop.wait_equal()
    after = {(row["id"], name): row[name] for row in shop.rows() for name in FIELDS}
    assert after == {at: made.expected(*at, value) for at, value in before.items()}
    assert shop.sql("SELECT count(*) AS n FROM bothways.conflict")[0]["n"] - known >= made.conflicts
    winners = shop.sql('SELECT DISTINCT "column", winner FROM bothways.conflict WHERE "column" <> %s', "")
    assert {(each["column"], each["winner"]) for each in winners} <= {
        ("name", "database"),
        ("city", "database"),
        ("phone", "stripe"),
        ("phone", "database"),  # an edit of the row on top of a value that Stripe had won with
    }


def test_edits_made_while_the_program_runs(shop: Installation) -> None:
    """Thousands on both sides at once: equal in the end, and the traffic ends."""
    edit_both_sides(shop, 2, EDITS // 2)
    shop.wait_equal()
    assert shop.letters() == []
