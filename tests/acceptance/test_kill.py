"""SIGKILL of any process at any moment, under load from both sides: nothing lost, duplicated or looped."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.load import Load

ROLES = ("capture", "deliver", "receive")


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
    assert load.edits > times
    installation.stripe.admin.end_faults()
    installation.wait_equal(seconds=90)
    load.check()


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_lose_and_double_nothing(installation: Installation, seed: int) -> None:
    """Whatever is killed, at the end each row has one customer and each customer one row, equal in every field."""
    kill_again_and_again(installation, 5, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 100 + int(os.environ.get("BOTHWAYS_SOAK_KILLS", "5"))))
def test_many_kills(installation: Installation, seed: int) -> None:
    """The same, fifty times as long."""
    kill_again_and_again(installation, 50, seed)
