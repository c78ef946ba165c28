"""What may be acknowledged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bothways.connectors.postgres.progress import Progress


def test_nothing_is_confirmed_before_the_log_has_it() -> None:
    """A position counts once every message up to it is durable."""
    progress = Progress(50)
    progress.reached(3, 100)
    progress.reached(5, 200)
    progress.settle(2)
    assert (progress.confirmed_lsn, progress.waits) == (50, True)
    progress.settle(4)
    assert (progress.confirmed_lsn, progress.waits) == (100, True)
    progress.settle(5)
    assert (progress.confirmed_lsn, progress.waits) == (200, False)


def test_a_position_without_messages_waits_for_those_before_it() -> None:
    """A transaction of tables that nobody maps, a keep-alive."""
    progress = Progress()
    progress.reached(3, 100)
    progress.reached(3, 180)
    progress.settle(2)
    assert progress.confirmed_lsn == 0
    progress.settle(3)
    assert progress.confirmed_lsn == 180


def test_it_never_goes_back() -> None:
    """After a reconnection the server sends again what was not acknowledged."""
    progress = Progress(500)
    progress.reached(1, 400)
    progress.settle(1)
    assert (progress.confirmed_lsn, progress.waits) == (500, False)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50), st.integers(0, 5))))
def test_only_positions_that_came_in_go_out(steps: list[tuple[int, int, int]]) -> None:
    """Never one in between, never one whose messages are not durable."""
    progress, number, lsn, durable = Progress(), 0, 0, 0
    named = {0: 0}
    for messages, distance, written in steps:
        number, lsn = number + messages, lsn + distance
        named[lsn] = number
        progress.reached(number, lsn)
        durable = min(number, durable + written)
        progress.settle(durable)
        assert progress.confirmed_lsn in named
        assert named[progress.confirmed_lsn] <= durable
    progress.settle(number)
    assert progress.confirmed_lsn == lsn
