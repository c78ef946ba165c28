"""What is said once in a while."""

from __future__ import annotations

from bothways.insight.seldom import KINDS, Seldom


def test_a_kind_passes_once_in_its_time_and_says_how_many_did_not() -> None:
    """Each kind by itself; the next that passes has the count of those before it."""
    now = [0.0]
    seldom = Seldom(60.0, lambda: now[0])
    assert seldom.passes("one") == 0
    assert [seldom.passes("one") for _ in range(3)] == [None] * 3
    assert seldom.passes("two") == 0
    now[0] = 60.0
    assert seldom.passes("one") == 3
    now[0] = 120.0
    assert seldom.passes("one") == 0


def test_kinds_without_end_take_no_memory_without_end() -> None:
    """The oldest is forgotten, not the newest."""
    seldom = Seldom(60.0, lambda: 0.0)
    for number in range(KINDS + 1):
        assert seldom.passes(number) == 0
    assert seldom.passes(KINDS) is None
    assert seldom.passes(0) == 0
