"""What a history is made of; a seed chooses one of several kinds."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bothways.flow.context import Patience
from bothways.flow.deliver import Pacing
from bothways.sync.mapping import Deletes
from tests.simulation.database import Faults
from tests.simulation.remote import RemoteFaults

PATIENCE = Patience(
    lease=6.0,
    other_worker=2.0,
    retries=4.0,
    first=0.05,
    most=1.0,
    key_margin=8.0,
    attempt_ends=1.0,
    forbidden=2.0,
)
PACING = Pacing(held=200, calls=16, poll_seconds=1.0, commit_seconds=0.5, sweep_seconds=1.0, stop_seconds=1.0)
CATALOGUE_FAULTS = Faults(busy=0.01, lost_commit=0.01)
REMOTE_FAULTS = RemoteFaults(
    before=0.04, lost=0.04, stored=0.02, stored_after=0.01, limited=0.02, latency_seconds=0.4, slow=0.05
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One kind of history. What is not said is off."""

    remotes: tuple[str, ...] = ("stripe",)
    edits: int = 60
    pause_seconds: float = 0.35
    """Mean time between two actions of anybody."""
    hot: float = 0.0
    """Share of actions that go to the record that was touched last."""
    crashes: float = 0.04
    """Share of actions that are a crash."""
    zombies: float = 0.4
    """Share of crashes after which the dead one goes on for a while."""
    outage: float = 0.0
    """Share of crashes after which nobody works until the remote has forgotten the keys."""
    workers: int = 2
    """At most so many at the start."""
    moves: float = 0.03
    """Share of the catalogue's edits that change a primary key."""
    hooks: tuple[int, ...] = (0, 1, 1, 1, 2)
    """How often a webhook comes; one is drawn."""
    late_seconds: tuple[float, ...] = (0.01, 0.1, 0.5, 3.0)
    """How late at most; one is drawn."""
    catalogue: Faults = CATALOGUE_FAULTS
    remote: RemoteFaults = REMOTE_FAULTS
    patience: Patience = PATIENCE
    latest: bool = False
    """The later edit wins column ``a``."""
    matching: bool = False
    """Both sides make records of one mail at the same time, and they are matched on it."""
    id_column: bool = False
    """The row holds the remote id."""
    references: bool = False
    """A second entity points to the first."""
    refusing: bool = False
    """Both sides refuse some values."""
    named: bool = True
    """A remote's refusal names the field."""
    deletes: Mapping[str, tuple[Deletes, Deletes]] = field(default_factory=dict)
    """System → what becomes of deletions outward and inward, where they are not propagated."""
    down: bool = False
    """The remote answers nothing, for longer than anybody repeats a call."""
    forbidden: bool = False
    pauses: int = 0
    """So often somebody pauses a direction of a system for a while."""
    deletions: int | None = None
    """So many in a minute are made without asking."""
    asked_seconds: float = 4.0
    """So long it takes until somebody who is asked allows them."""
    """The remote refuses our key for a while."""
    poller: bool = False
    """The real poller finds what webhooks missed."""


def _deletes(plan: Plan, chance: random.Random) -> Plan:
    ways = tuple(Deletes)
    return replace(plan, deletes={name: (chance.choice(ways), chance.choice(ways)) for name in plan.remotes})


def _many_lost(plan: Plan, _chance: random.Random) -> Plan:
    remote = replace(plan.remote, lost=0.2, stored=0.08, stored_after=0.05, slow=0.1)
    return replace(plan, remote=remote, hot=0.6, crashes=0.06)


VARIANTS: Mapping[str, Callable[[Plan, random.Random], Plan]] = {
    "latest": lambda plan, _: replace(plan, latest=True, remotes=("stripe",)),
    "matching": lambda plan, _: replace(plan, matching=True),
    "id column": lambda plan, _: replace(plan, id_column=True),
    "matching and id column": lambda plan, _: replace(plan, matching=True, id_column=True),
    "references": lambda plan, _: replace(plan, references=True, moves=0.0),
    "refusing": lambda plan, chance: replace(plan, refusing=True, named=chance.random() < 0.8),
    "deletes": _deletes,
    "down": lambda plan, _: replace(plan, down=True, matching=True),
    "forbidden": lambda plan, _: replace(plan, forbidden=True),
    "poller": lambda plan, _: replace(plan, poller=True, hooks=(0, 0, 0, 1, 1)),
    "workers": lambda plan, _: replace(plan, workers=4, crashes=0.07),
    "hot": lambda plan, _: replace(plan, hot=0.8, pause_seconds=0.12),
    "outage": lambda plan, _: replace(plan, outage=0.4),
    "many lost answers": _many_lost,
}


def plan_of(seed: int) -> tuple[str, Plan]:
    """The seed's kind of history and its name: two of five are plain, the others are something more."""
    plan = Plan(remotes=("stripe", "salesforce") if seed % 4 == 3 else ("stripe",))
    if seed % 5 < 2:
        return "plain", plan
    chance = random.Random(f"plan {seed}")
    name = chance.choice(list(VARIANTS))
    return name, VARIANTS[name](plan, chance)
