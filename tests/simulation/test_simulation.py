"""Seeded histories of the whole sync: real delivery on adapters in memory, on a virtual clock."""

from __future__ import annotations

import os

import pytest

from tests.simulation.__main__ import quiet, verdict

SEEDS, CHUNK = 1000, 50
SOAK_FIRST, SOAK_SEEDS, SOAK_CHUNK = 100_000, int(os.environ.get("BOTHWAYS_SOAK_SEEDS", "20000")), 500


def _first_wrong(seeds: range) -> str | None:
    quiet()
    for seed in seeds:
        wrong = verdict(seed)
        if wrong is not None:
            return f"seed {seed}: {wrong}\nwith its trace: python -m tests.simulation --seed {seed}"
    return None


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_histories(first: int) -> None:
    """Whatever people and faults do: both sides converge, by who edited on top of which value; the traffic ends; no
    duplicate is made, no deleted record comes back, and nothing waits for ever.
    """
    wrong = _first_wrong(range(first, first + CHUNK))
    assert wrong is None, wrong


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SOAK_FIRST, SOAK_FIRST + SOAK_SEEDS, SOAK_CHUNK))
def test_many_more_histories(first: int) -> None:
    """The same, many more times."""
    wrong = _first_wrong(range(first, min(first + SOAK_CHUNK, SOAK_FIRST + SOAK_SEEDS)))
    assert wrong is None, wrong


def test_a_seed_is_one_history() -> None:
    """The same seed gives the same history, to the last step: a failure can be replayed by its number."""
    from tests.simulation.world import simulate

    quiet()
    traces: list[list[str]] = [[], []]
    for lines in traces:
        assert simulate(7, trace=lines.append) is None
    assert traces[0] == traces[1]
    assert len(traces[0]) > 100
