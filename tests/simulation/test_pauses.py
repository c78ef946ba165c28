"""Histories in which somebody pauses and resumes, and in which the brake on deletions asks."""

from __future__ import annotations

from tests.simulation.__main__ import quiet
from tests.simulation.loop import VirtualLoop
from tests.simulation.plan import Plan
from tests.simulation.world import World, in_virtual_time


def _world(seed: int, plan: Plan) -> tuple[World, str | None]:
    worlds: list[World] = []

    async def run(loop: VirtualLoop) -> str | None:
        worlds.append(World(seed, plan, loop))
        return await worlds[0].run()

    wrong = in_virtual_time(seed, run)
    return worlds[0], wrong


def test_what_was_paused_is_as_if_it_never_had_been() -> None:
    """Whatever is edited meanwhile, and whoever dies: nothing waits for ever, nothing is lost, both sides are equal."""
    quiet()
    for seed in range(16):
        remotes = ("stripe", "salesforce") if seed % 4 == 3 else ("stripe",)
        plan = Plan(remotes=remotes, pauses=3, latest=seed % 4 == 0, id_column=seed % 3 == 0)
        _, wrong = _world(seed, plan)
        assert wrong is None, f"seed {seed}: {wrong}"


def test_deletions_that_were_held_are_made_once_somebody_allows_them() -> None:
    """With several workers, some of which die: all of them in the end, however often somebody was asked."""
    quiet()
    asked = 0
    for seed in range(12):
        world, wrong = _world(seed, Plan(deletions=1, pauses=seed % 2, workers=3, crashes=0.08))
        assert wrong is None, f"seed {seed}: {wrong}"
        asked += world.operator.asked
    assert asked > 0, "nobody was ever asked"
