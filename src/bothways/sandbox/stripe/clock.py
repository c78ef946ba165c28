"""A clock that can be moved."""

from __future__ import annotations

import time
from collections.abc import Callable


class MovableClock:
    """Wall time plus what it was moved by. It never goes back."""

    def __init__(self, base: Callable[[], float] = time.time) -> None:
        self._base = base
        self._moved = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return self._base() + self._moved

    def advance(self, seconds: float) -> float:
        """Move on; returns the new time. Raises ``ValueError`` for a step back."""
        if not 0 <= seconds < 1e10:
            raise ValueError("the clock can only be moved on, by a number of seconds")
        self._moved += seconds
        return self.now()
