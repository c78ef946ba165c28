"""The arithmetic of the shared rate."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.state.pace import FLOOR, RECOVERY, SLOWER, PaceRow, rate_now, reserve, slowed

TIMES = st.floats(0, 1e6)
RATES = st.floats(0.5, 1000)


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 20)), min_size=1, max_size=40), RATES)
def test_slots_are_never_closer_than_the_rate_allows(requests: list[tuple[float, int]], full: float) -> None:
    """Whoever reserves, whenever: no two slots overlap, none lies in the past, none is wasted while somebody waits."""
    row, now = PaceRow(0.0, full, 0.0), 100.0
    slots: list[float] = []
    for pause, count in requests:
        now += pause
        before = row.next
        row, taken = reserve(row, now, count, full)
        assert taken[0] == max(before, now)
        slots += taken
    gaps = [after - before for before, after in pairwise(slots)]
    assert all(gap >= 1 / full - 1e-6 for gap in gaps)


@given(TIMES, RATES, st.one_of(st.none(), st.floats(0, 100)))
def test_slowing_down(now: float, full: float, retry_after: float | None) -> None:
    """Nothing before the time that was asked for; a lower rate; refusals of one moment count once."""
    start = PaceRow(0.0, full, 0.0)
    once = slowed(start, now, retry_after, full)
    assert once.next >= now + (retry_after or 0.0)
    assert once.rate == pytest.approx(full * SLOWER)
    again = slowed(once, now + 0.5, None, full)
    assert again.rate == once.rate
    assert again.next >= once.next
    later = slowed(once, now + 1.5, None, full)
    assert later.rate < once.rate


@given(RATES)
def test_the_rate_has_a_floor_and_comes_back(full: float) -> None:
    """However often it is slowed, something is left, and it recovers by itself to all of it and no more."""
    row = PaceRow(0.0, full, 0.0)
    for second in range(1, 200, 2):
        row = slowed(row, float(second), None, full)
    assert row.rate >= full * FLOOR
    assert rate_now(row, row.changed, full) < full / 2
    assert rate_now(row, row.changed + RECOVERY / 2, full) > row.rate
    assert rate_now(row, row.changed + RECOVERY, full) == full
    assert rate_now(row, row.changed + 10 * RECOVERY, full) == full
