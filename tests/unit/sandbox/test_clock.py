"""The clock that can be moved."""

from __future__ import annotations

import pytest

from bothways.sandbox.stripe.clock import MovableClock


def test_it_moves_on_and_never_back() -> None:
    """Moves add up on top of real time."""
    clock = MovableClock(lambda: 100.0)
    assert clock.now() == 100
    assert clock.advance(5) == 105
    clock.advance(0.5)
    assert clock.now() == 105.5
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="moved on"):
            clock.advance(wrong)
