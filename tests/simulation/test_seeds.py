"""What the simulation found once, as directed histories: a seed's history changes with the code, these do not.

The seeds at which it was found are named for those who look into the project's past.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from bothways.sync.mapping import Deletes
from tests.simulation import scenes
from tests.simulation.__main__ import quiet
from tests.simulation.plan import Plan
from tests.simulation.stage import Scene, play

KEEPS = Plan(deletes={"stripe": (Deletes.PROPAGATE, Deletes.IGNORE)})
LETS_BE = Plan(deletes={"stripe": (Deletes.IGNORE, Deletes.PROPAGATE)})
TWO_REMOTES = Plan(matching=True, remotes=("stripe", "salesforce"))

FOUND: dict[str, tuple[Scene, Plan]] = {
    "64: an ambiguous event's picture points to an unknown record": (
        scenes.picture_points_to_the_unknown,
        Plan(references=True),
    ),
    "172: an object whose deletion was not propagated came back as another row": (
        scenes.left_alone_and_key_used_again,
        LETS_BE,
    ),
    "283: a row that was refused as taken was not sent when it got an object of its own": (
        scenes.adopted_after_it_was_refused,
        Plan(matching=True),
    ),
    "288: a kept row that was replaced became a second object": (scenes.kept_row_is_replaced, KEEPS),
    "849: a key that changed twice made a second object": (scenes.key_changed_twice, Plan()),
    "a row that took the key of one that moved away took its object, too": (
        scenes.moved_and_its_key_used_again,
        Plan(),
    ),
    "a row that came while its object was brought in was a dead letter": (
        scenes.row_comes_while_its_object_is_brought_in,
        TWO_REMOTES,
    ),
    "an object that points to a deleted one was fetched for ever": (
        scenes.points_to_what_is_deleted,
        Plan(references=True),
    ),
    "the later edit of an object wins": (scenes.object_edited_last, replace(Plan(), latest=True)),
}


@pytest.mark.parametrize("found", FOUND)
def test_it_does_not_go_wrong_again(found: str) -> None:
    """In whatever order happens what happens at once."""
    quiet()
    scene, plan = FOUND[found]
    assert [play(scene, plan, seed=seed) for seed in range(6)] == [None] * 6
