"""What would be said many times a second is said once in a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

EVERY_SECONDS = 60.0
KINDS = 1_000
"""More than so many are not told apart: the oldest are forgotten, and said anew."""


class Seldom:
    """A kind of thing passes once in ``seconds``. Any thread may ask."""

    def __init__(self, seconds: float = EVERY_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._last: dict[Hashable, float] = {}
        self._kept_back: dict[Hashable, int] = {}

    def passes(self, kind: Hashable) -> int | None:
        """How many of this kind were kept back since the last that passed; None where this one is kept back, too."""
        now = self._now()
        with self._lock:
            last = self._last.get(kind)
            if last is not None and now - last < self._seconds:
                self._kept_back[kind] = self._kept_back.get(kind, 0) + 1
                return None
            self._last.pop(kind, None)
            self._last[kind] = now
            if len(self._last) > KINDS:
                oldest = next(iter(self._last))
                del self._last[oldest]
                self._kept_back.pop(oldest, None)
            return self._kept_back.pop(kind, 0)
