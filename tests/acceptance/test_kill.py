"""SIGKILL of any process at any moment, under load from both sides: nothing lost, duplicated or looped."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from dataclasses import dataclass, field

import psycopg
import pytest

from tests.acceptance.installation import Installation

ROLES = ("capture", "deliver", "receive")


@dataclass
class Load:
    """People who edit both sides, each in a thread of their own, until told to stop."""

    installation: Installation
    seed: int
    stop: threading.Event = field(default_factory=threading.Event)
    errors: list[Exception] = field(default_factory=list)
    edits: int = 0

    def __enter__(self) -> Load:
        work = (self._edit_rows, self._edit_customers)
        self.threads = [threading.Thread(target=self._guarded, args=(each,)) for each in work]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _guarded(self, work: object) -> None:
        try:
            assert callable(work)
            work()
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.errors.append(error)

    def _edit_rows(self) -> None:
        chance = random.Random(self.seed)
        with psycopg.connect(self.installation.database, autocommit=True) as connection:
            while not self.stop.wait(chance.uniform(0.005, 0.06)):
                self.edits += 1
                ids = [row[0] for row in connection.execute("SELECT id FROM customers").fetchall()]
                draw = chance.random()
                if draw < 0.2 or not ids:
                    connection.execute(
                        "INSERT INTO customers (name, email, tier) VALUES (%s, %s, 'new')",
                        [f"row {self.edits}", f"row{self.edits}.{self.seed}@example.org"],
                    )
                elif draw < 0.93:
                    column = chance.choice(("name", "phone", "city"))
                    connection.execute(
                        f"UPDATE customers SET {column} = %s WHERE id = %s",
                        [f"{column} {self.edits}", chance.choice(ids)],
                    )
                else:
                    connection.execute("DELETE FROM customers WHERE id = %s", [chance.choice(ids)])

    def _edit_customers(self) -> None:
        chance, admin = random.Random(self.seed + 1), self.installation.stripe.admin
        number = 0
        while not self.stop.wait(chance.uniform(0.01, 0.1)):
            number += 1
            known, draw = self.installation.customers(), chance.random()
            try:
                if draw < 0.15 or not known:
                    admin.create("customer", name=f"made {number}", email=f"made{number}.{self.seed}@example.org")
                elif draw < 0.95:
                    name = chance.choice(("name", "phone"))
                    admin.edit("customer", chance.choice(known)["id"], **{name: f"{name} there {number}"})
                else:
                    admin.delete("customer", chance.choice(known)["id"])
            except AssertionError as error:
                if "No such customer" not in str(error):  # deleted a moment ago by the other side
                    raise


def kill_again_and_again(installation: Installation, times: int, seed: int) -> None:
    """Roles in processes of their own; one of them dies every half second or so, and is started again at once."""
    chance = random.Random(seed)
    installation.stripe.admin.fault("drop_after", probability=0.01)
    for role in ROLES:
        installation.start(role, "--only", role)
    installation.wait_ready()
    with Load(installation, seed) as load:
        for _ in range(times):
            time.sleep(chance.uniform(0.2, 1.2))
            role = chance.choice(ROLES)
            installation.kill(role)
            installation.start(role, "--only", role)
    assert not load.errors, load.errors
    assert load.edits > times
    installation.stripe.admin.end_faults()
    installation.wait_equal(seconds=90)
    letters = json.loads(installation.run("deadletters", "list", "--json").stdout)
    assert letters == [], letters


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_lose_and_double_nothing(installation: Installation, seed: int) -> None:
    """Whatever is killed, at the end each row has one customer and each customer one row, equal in every field."""
    kill_again_and_again(installation, 5, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 100 + int(os.environ.get("BOTHWAYS_SOAK_KILLS", "5"))))
def test_many_kills(installation: Installation, seed: int) -> None:
    """The same, fifty times as long."""
    kill_again_and_again(installation, 50, seed)
