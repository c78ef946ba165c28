"""A sandbox Stripe of one test's own, and the connector that talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from bothways.connectors.stripe.pace import LocalPace
from bothways.connectors.stripe.params import Params, put
from bothways.connectors.stripe.remote import StripeRemote
from bothways.model.link import Attempt, Call
from bothways.model.values import Values
from bothways.sandbox.stripe import Fault, Rule, Running, Sandbox, Settings, running
from tests.suites.remote import Bench

API_KEY = "sk_test_bench"


class StripeBench(Bench):
    """The connector on a sandbox of its own."""

    def __init__(self, stripe: Running, remote: StripeRemote, pace: LocalPace) -> None:
        self.url = stripe.url
        self.sandbox: Sandbox = stripe.sandbox
        self.stripe = remote
        self.remote = remote
        self.pace = pace

    async def edit(self, remote_id: str, patch: Values) -> None:
        self.sandbox.edit(self.object, remote_id, **nested(patch))

    async def make(self, patch: Values) -> str:
        return str(self.sandbox.create(self.object, **nested(patch))["id"])

    async def drop(self, remote_id: str) -> None:
        self.sandbox.delete(self.object, remote_id)

    async def count(self) -> int:
        return len(self.sandbox.state.all(self.object))

    async def lose_answer(self) -> None:
        self.fault(Fault.DROP_AFTER)

    async def store_failure(self, *, after_effect: bool) -> None:
        self.fault(Fault.ERROR_AFTER if after_effect else Fault.ERROR_BEFORE)

    async def now(self) -> float:
        return self.sandbox.clock.now()

    def fault(self, fault: Fault, times: int = 1, method: str = "*", status: int = 0) -> None:
        """The next requests go wrong."""
        self.sandbox.faults.add(Rule(fault, path="/v1/*", times=times, method=method, status=status))

    def requests(self, status: int | None = None) -> int:
        """How many requests were answered, with this status if one is named."""
        return sum(count for (_, _, answered), count in self.sandbox.counts.items() if status in (None, answered))


class ProductBench(StripeBench):
    """The same with products, which need a name."""

    object = "product"
    first = "description"
    second = "unit_label"
    nested = "metadata.city"
    searched = "url"
    one = "https://example.com/one"
    other = "https://example.com/other"
    missing_id = "prod_never"

    async def make(self, patch: Values) -> str:
        return await super().make({"name": "Thing", **patch})

    def attempt(self, call: Call, remote_id: str | None = None, patch: Values | None = None) -> Attempt:
        """Creates have the name."""
        named: Values = {"name": "Thing"} if call is Call.CREATE else {}
        return super().attempt(call, remote_id, {**named, **(patch or {})})


@asynccontextmanager
async def bench_on(
    kind: type[StripeBench] = StripeBench, settings: Settings | None = None, rate: float = 5000.0
) -> AsyncIterator[StripeBench]:
    """A sandbox and a connector, both gone afterwards."""
    pace = LocalPace(rate)
    async with running(settings=settings or Settings(rate=None)) as stripe:
        remote = StripeRemote("stripe", API_KEY, stripe.url, pace, "here", settle_seconds=0.02)
        try:
            yield kind(stripe, remote, pace)
        finally:
            await remote.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def nested(patch: Values) -> Mapping[str, object]:
    """Dotted paths as parameters."""
    params: Params = {}
    for path, value in patch.items():
        put(params, path, value)
    return params
