"""The metrics page."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from bothways.api.app import create_app
from bothways.api.requests import Bodies, Limits
from bothways.api.webhooks import webhooks_router
from bothways.insight import metrics as module
from bothways.insight.metrics import Metrics, Numbers


async def test_numbers_are_on_the_page_under_our_prefix() -> None:
    """Counters, gauges and histograms; their names begin with ``bothways_``."""
    metrics = Metrics()
    metrics.counter("calls", "Calls.", "system").labels("stripe").inc(3)
    metrics.gauge("depth", "Depth.").set(7)
    metrics.histogram("call_seconds", "Times.").observe(0.2)
    page = (await metrics.page()).decode()
    assert 'bothways_calls_total{system="stripe"} 3.0' in page
    assert "bothways_depth 7.0" in page
    assert 'bothways_call_seconds_bucket{le="0.25"} 1.0' in page
    assert "_created" not in page


async def test_watched_numbers_are_read_for_each_page() -> None:
    """The page shows what is true now; labels that are gone are gone."""
    numbers: dict[tuple[str, ...], float] = {("a",): 1.0}

    async def later() -> Numbers:
        return {(): 5.0}

    metrics = Metrics()
    metrics.watch("lag", "Lag.", ["topic"], lambda: numbers)
    metrics.watch("restarts", "Restarts.", [], later, counts=True)
    assert 'bothways_lag{topic="a"} 1.0' in (await metrics.page()).decode()
    numbers = {("b",): 2.0}
    page = (await metrics.page()).decode()
    assert 'bothways_lag{topic="b"} 2.0' in page
    assert 'topic="a"' not in page
    assert "bothways_restarts_total 5.0" in page


async def test_a_number_that_cannot_be_read_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails and one that hangs are left out and counted; the page comes, soon, with the rest."""
    monkeypatch.setattr(module, "READ_SECONDS", 0.01)

    def fails() -> Numbers:
        raise ValueError("no")

    async def hangs() -> Numbers:
        await asyncio.Event().wait()
        return {}

    metrics = Metrics()
    metrics.watch("fails", "Fails.", [], fails)
    metrics.watch("hangs", "Hangs.", [], hangs)
    metrics.watch("works", "Works.", [], lambda: {(): 1.0})
    page = (await metrics.page()).decode()
    assert "bothways_works 1.0" in page
    assert 'bothways_metrics_failed_total{metric="fails"} 1.0' in page
    assert 'bothways_metrics_failed_total{metric="hangs"} 1.0' in page
    assert not re.search(r"^bothways_(fails|hangs) ", page, re.MULTILINE)


def test_every_name_of_http_is_documented() -> None:
    """docs/metrics.md names each metric that the HTTP part makes."""
    metrics = Metrics()
    create_app(metrics=metrics, health=dict)
    webhooks_router({}, Bodies(Limits()), metrics)
    documented = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text("utf-8")
    names = {family.name for family in metrics.registry.collect() if family.name.startswith("bothways_")}
    assert names
    assert {name for name in names if f"`{name}" not in documented} == set()


async def test_those_who_ask_at_a_time_share_a_page() -> None:
    """A crowd asks the database once, and again for those that came while it was asked: nobody sees what was before."""
    metrics, asked, begun, go = Metrics(), 0, asyncio.Event(), asyncio.Event()

    async def slow() -> Numbers:
        nonlocal asked
        asked += 1
        number = float(asked)
        begun.set()
        await go.wait()
        return {(): number}

    metrics.watch("turn", "Turn.", [], slow)
    first = asyncio.create_task(metrics.page())
    await begun.wait()
    crowd = [asyncio.create_task(metrics.page()) for _ in range(100)]
    await asyncio.sleep(0)
    crowd.pop().cancel()
    go.set()
    async with asyncio.timeout(10):
        assert b"bothways_turn 1.0" in await first
        assert all(b"bothways_turn 2.0" in page for page in await asyncio.gather(*crowd))
    assert asked == 2
