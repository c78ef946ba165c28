"""How long to wait before the next try: exponential, with full jitter, never less than the other side asked for."""

from __future__ import annotations

import random
from collections.abc import Iterator

from bothways.model.errors import Transient


class Backoff(Iterator[float]):
    """Seconds to wait before each next try, without end: ``for seconds in backoff``, ``next(backoff)``.

    The n-th wait lies evenly between 0 and the smaller of ``most`` and ``first`` · 2ⁿ (full jitter: workers that failed
    together do not come back together). https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self, first: float, most: float, chance: random.Random) -> None:
        if not 0 < first <= most:
            raise ValueError("the first wait must be above 0 and at most the longest")
        self._first = first
        self._most = most
        self._chance = chance
        self._ceiling = first

    def __iter__(self) -> Backoff:
        return self

    def __next__(self) -> float:
        ceiling = self._ceiling
        self._ceiling = min(self._most, ceiling * 2)
        return self._chance.uniform(0.0, ceiling)

    def after(self, error: BaseException) -> float:
        """The next wait, after this error. A ``retry_after`` is waited out in full, however long, and a little more."""
        asked = error.retry_after if isinstance(error, Transient) else None
        wait = next(self)
        return wait if asked is None else asked + min(wait, self._first)

    def reset(self) -> None:
        """It worked: the next wait is a first one again."""
        self._ceiling = self._first
