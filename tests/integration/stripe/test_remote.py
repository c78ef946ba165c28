"""The connector as a remote system, on the sandbox: one suite, two objects, since an object is a description."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.stripe.bench import ProductBench, StripeBench, bench_on
from tests.suites.remote import RemoteSuite


class TestCustomers(RemoteSuite):
    """Customers do all that the suite asks for."""


class TestProducts(RemoteSuite):
    """Products do too, and no line of code is theirs."""

    @pytest.fixture
    async def bench(self) -> AsyncIterator[StripeBench]:
        """A sandbox with products."""
        async with bench_on(ProductBench) as made:
            yield made
