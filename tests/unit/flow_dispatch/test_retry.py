"""The waits between tries."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.flow.retry import Backoff
from bothways.model.errors import RateLimited, Unavailable


class Highest(random.Random):
    """Chance that always draws the upper end, so that the ceilings can be seen."""

    def uniform(self, a: float, b: float) -> float:
        """The upper end."""
        return b


def test_waits_double_up_to_the_longest() -> None:
    """The ceilings are first, 2·first, 4·first …, then the longest for ever."""
    backoff = Backoff(1.0, 5.0, Highest())
    assert [next(backoff) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert next(backoff) == 1.0


@given(seed=st.integers(), tries=st.integers(1, 2000))
def test_waits_stay_within_their_bounds(seed: int, tries: int) -> None:
    """However often it is tried, a wait is neither negative nor longer than the longest."""
    backoff = Backoff(0.2, 15.0, random.Random(seed))
    waits = [next(backoff) for _ in range(tries)]
    assert all(0 <= wait <= 15.0 for wait in waits)
    assert waits[0] <= 0.2


@given(seed=st.integers(), asked=st.floats(0, 3600))
def test_what_the_other_side_asks_for_is_waited_out(seed: int, asked: float) -> None:
    """Never less than ``retry_after``, and not much more, however long it is."""
    backoff = Backoff(0.2, 15.0, random.Random(seed))
    assert asked <= backoff.after(RateLimited("slowly", retry_after=asked)) <= asked + 0.2


def test_an_error_without_a_wish_is_an_ordinary_one() -> None:
    """Errors that name no time use the schedule."""
    backoff = Backoff(1.0, 5.0, Highest())
    assert backoff.after(Unavailable("no answer")) == 1.0
    assert backoff.after(ValueError("other")) == 2.0


def test_jitter_differs_between_workers() -> None:
    """Two workers that fail together do not come back together."""
    first, second = Backoff(1.0, 60.0, random.Random(1)), Backoff(1.0, 60.0, random.Random(2))
    assert [next(first) for _ in range(4)] != [next(second) for _ in range(4)]


@pytest.mark.parametrize(("first", "most"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0)])
def test_senseless_waits_are_refused(first: float, most: float) -> None:
    """A back-off that would not back off is an error."""
    with pytest.raises(ValueError, match="first wait"):
        Backoff(first, most, random.Random())
