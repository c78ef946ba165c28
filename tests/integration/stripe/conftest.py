"""What the connector's tests start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.stripe.bench import StripeBench, bench_on


@pytest.fixture
async def bench() -> AsyncIterator[StripeBench]:
    """A sandbox without a rate limit, and the connector on it."""
    async with bench_on() as made:
        yield made
