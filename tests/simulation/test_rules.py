"""The simulation itself is tested: each rule of the sync, left out, makes it object.

Rules that matter in some of a hundred histories are tried on seeded ones; those that matter more rarely have a directed
history, which passes with the rule and fails without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bothways.model.outcome import DeadLetter, Direction
from tests.simulation import scenes
from tests.simulation.__main__ import quiet
from tests.simulation.ablation import RULES
from tests.simulation.database import Faults
from tests.simulation.loop import VirtualLoop
from tests.simulation.oracle import Oracle
from tests.simulation.plan import REMOTE_FAULTS, Plan
from tests.simulation.stage import Scene, play
from tests.simulation.world import World, in_virtual_time, simulate

LOST = Plan(remote=replace(REMOTE_FAULTS, lost=0.3, stored=0.05, stored_after=0.05))
HOT = Plan(hot=0.9, pause_seconds=0.15)

SLOW = Faults(step_seconds=0.25)
DELETING = Plan(deletions=1, asked_seconds=50, pause_seconds=0.1, edits=150, catalogue=SLOW)

SEEDED: dict[str, tuple[Plan | None, int]] = {
    "attempt written before the call": (None, 100),
    "row read at delivery": (None, 40),
    "a new generation for a key that is used again": (None, 40),
    "other fields of an answer merged": (None, 40),
    "stored failures recognised": (LOST, 100),
    "receipts read for overwritten edits": (HOT, 200),
    "ambiguous events fetched": (None, 60),
    "fate of attempts read": (LOST, 100),
    "marker only where nothing is left to send": (None, 40),
    "waiting for a call under way": (None, 300),
    "late workers fenced": (None, 300),
    "tombstones": (None, 60),
    "a lane held while work is parked": (Plan(pauses=10, catalogue=SLOW), 60),
    "deletions counted one by one": (DELETING, 60),
}
"""Rule → kind of histories (None: the usual mix), and within how many one of them must go wrong."""

ONLY_SAVES_CALLS = "old events dropped"

DIRECTED: dict[str, tuple[Scene, Plan]] = {
    "window instead of the answer's Date": (scenes.edit_while_an_answer_is_written, Plan()),
    "fetch after a replayed answer": (scenes.edit_before_a_replayed_answer, Plan()),
    "revision checked after a fetch": (scenes.call_while_a_picture_is_fetched, Plan()),
    "the later edit wins": (scenes.row_edited_last, Plan(latest=True)),
    "refused values left out": (scenes.value_that_is_refused, Plan(refusing=True)),
    "references waited for": (scenes.row_before_what_it_points_to, Plan(references=True)),
    "a match looked for before a create": (scenes.same_mail_on_both_sides, Plan(matching=True)),
    "a key that moves twice waited for": (scenes.key_changed_twice, Plan()),
    ONLY_SAVES_CALLS: (scenes.old_event_after_a_newer_one, Plan()),
}


def _wrong(seed: int, plan: Plan | None) -> str | None:
    try:
        return simulate(seed, plan)
    except Exception as error:  # noqa: BLE001 - a history without a rule may end in any way
        return repr(error)


@pytest.mark.parametrize("rule", SEEDED)
def test_histories_without_the_rule_go_wrong(
    rule: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Among so many seeded histories the oracle objects to at least one; ``python -m tests.simulation --without RULE``
    shows which.
    """
    quiet()
    plan, seeds = SEEDED[rule]
    RULES[rule](monkeypatch)
    found = next(((seed, wrong) for seed in range(seeds) if (wrong := _wrong(seed, plan)) is not None), None)
    assert found is not None, f"{seeds} histories without this rule, and nothing went wrong"
    record_property("first wrong seed", f"{found[0]}: {found[1]}")


@pytest.mark.parametrize("rule", DIRECTED)
def test_the_directed_history_needs_the_rule(rule: str) -> None:
    """In whatever order happens what happens at once: it passes with the rule, and without it fails."""
    quiet()
    scene, plan = DIRECTED[rule]
    assert [play(scene, plan, seed=seed) for seed in range(4)] == [None] * 4
    with pytest.MonkeyPatch.context() as patch:
        RULES[rule](patch)
        assert any(play(scene, plan, seed=seed) for seed in range(4)), "nothing went wrong without the rule"


def test_dropping_old_events_changes_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at instead of dropped, they only cost calls."""
    quiet()
    RULES[ONLY_SAVES_CALLS](monkeypatch)
    assert [simulate(seed, HOT) for seed in range(6)] == [None] * 6


def test_every_rule_is_tried() -> None:
    """No rule can be left out of these tests."""
    assert {*SEEDED, *DIRECTED} == {*RULES}


LETTER = DeadLetter(Direction.IN, "stripe", "customer", "x", None, "somebody made it up", "", "{}")
SPOILERS: dict[str, Callable[[World], None]] = {
    "has no row": lambda world: world.database.kinds["row"].clear(),
    "differ": lambda world: world.services["stripe"].live("customer")[0].document.update(a="other"),
    "dead letter": lambda world: world.database.notes.append(LETTER),
}


@pytest.mark.parametrize("says", SPOILERS)
def test_the_oracle_sees_what_is_spoilt_at_the_end(says: str) -> None:
    """A right history whose end is changed behind the sync's back is objected to."""
    quiet()

    async def run(loop: VirtualLoop) -> str | None:
        world = World(2, Plan(edits=20), loop)
        assert await world.run() is None
        SPOILERS[says](world)
        return Oracle(world).objects()

    wrong = in_virtual_time(2, run)
    assert wrong is not None
    assert says in wrong
