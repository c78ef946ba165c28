"""The rate limit: a bucket of tokens, and a bound on requests under way."""

from __future__ import annotations

from collections.abc import Callable

from bothways.sandbox.stripe.errors import rate_limited


class Limits:
    """What a request must pass. ``now`` is real time, in seconds: moving the sandbox's clock fills no bucket."""

    def __init__(
        self, rate: float | None, burst: float | None, concurrency: int | None, now: Callable[[], float]
    ) -> None:
        self._now = now
        self._under_way = 0
        self.set(rate, burst, concurrency)

    def set(self, rate: float | None, burst: float | None = None, concurrency: int | None = None) -> None:
        """Other limits, with a full bucket. Raises ``ValueError`` for limits that nothing could pass."""
        size = burst if burst is not None or rate is None else max(1.0, rate)
        if (
            (rate is not None and rate <= 0)
            or (size is not None and size < 1)
            or (concurrency is not None and concurrency < 1)
        ):
            raise ValueError("a rate must be above 0, a burst and a concurrency at least 1; null is no limit")
        self.rate, self.burst, self.concurrency = rate, size, concurrency
        self._tokens = size or 0.0
        self._filled_at = self._now()

    def enter(self) -> None:
        """Take a token and a place; raises ``ApiError`` 429. Who entered must ``leave``."""
        if self.concurrency is not None and self._under_way >= self.concurrency:
            raise rate_limited("global-concurrency")
        if self.rate is not None:
            now = self._now()
            self._tokens = min(self.burst or 1.0, self._tokens + (now - self._filled_at) * self.rate)
            self._filled_at = now
            if self._tokens < 1:
                raise rate_limited("global-rate")
            self._tokens -= 1
        self._under_way += 1

    def leave(self) -> None:
        """Give the place back."""
        self._under_way -= 1
