"""Numbers for Prometheus: one registry a process, every name begins with ``bothways_`` (docs/metrics.md lists them)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import structlog
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "bothways_"
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
READ_SECONDS = 2.0
"""So long a page waits for numbers that have to be asked for."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Histogram bounds: from one turn of the loop to what nobody waits for any more."""

Numbers = Mapping[tuple[str, ...], float]
"""Label values, in the order of the label names → number."""
Read = Callable[[], Numbers | Awaitable[Numbers]]

_log = structlog.get_logger(__name__)


class _Watched(Collector):
    """Numbers that are kept elsewhere and read when the page is asked for."""

    def __init__(self, make: Callable[[], GaugeMetricFamily | CounterMetricFamily], name: str, read: Read) -> None:
        self.name = name
        self._make = make
        self._read = read
        self._numbers: Numbers = {}

    async def refresh(self) -> None:
        self._numbers = {}
        numbers = self._read()
        self._numbers = await numbers if inspect.isawaitable(numbers) else numbers

    def collect(self) -> Iterable[Metric]:
        family = self._make()
        for labels, number in self._numbers.items():
            family.add_metric(labels, number)
        return (family,)

    def describe(self) -> Iterable[Metric]:
        return (self._make(),)


class Metrics:
    """The numbers of one process. Names are given without the prefix; counters end in ``_total`` on the page."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus-client leaves it without types
        self.registry = CollectorRegistry(auto_describe=True)
        self._watched: list[_Watched] = []
        self._current_page: asyncio.Future[bytes] | None = None
        self._next_page: asyncio.Future[bytes] | None = None
        ProcessCollector(registry=self.registry)
        self._failed = self.counter("metrics_failed", "Numbers that could not be read for this page.", "metric")

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """A number that only grows."""
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A number that goes up and down."""
        return Gauge(PREFIX + name, text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, *labels: str, bounds: Sequence[float] = SECONDS) -> Histogram:
        """How often which range was met; times in seconds."""
        return Histogram(PREFIX + name, text, labels, registry=self.registry, buckets=bounds)

    def watch(self, name: str, text: str, labels: Sequence[str], read: Read, *, counts: bool = False) -> None:
        """A gauge (a counter, if it ``counts``) that is read for each page; ``read`` may be asynchronous.

        One that fails or takes longer than 2 seconds is left out, and counted in ``bothways_metrics_failed_total``.
        """

        def make() -> GaugeMetricFamily | CounterMetricFamily:
            kind = CounterMetricFamily if counts else GaugeMetricFamily
            return kind(PREFIX + name, text, labels=labels)

        watched = _Watched(make, name, read)
        self._watched.append(watched)
        self.registry.register(watched)

    async def page(self) -> bytes:
        """Everything, in Prometheus' text format.

        Made for one at a time, since some of it asks the database: those who ask meanwhile share the next.
        """
        if self._next_page is None:
            self._next_page = asyncio.ensure_future(self._page_after(self._current_page))
        return await asyncio.shield(self._next_page)

    async def _page_after(self, before: asyncio.Future[bytes] | None) -> bytes:
        if before is not None:
            await asyncio.wait([before])
        self._current_page, self._next_page = self._next_page, None
        await asyncio.gather(*(self._refresh(watched) for watched in self._watched))
        return generate_latest(self.registry)

    async def _refresh(self, watched: _Watched) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                await watched.refresh()
        except Exception as error:  # noqa: BLE001 - one number that cannot be read must not hide the others; it is counted
            self._failed.labels(watched.name).inc()
            _log.warning("metrics.failed", metric=watched.name, error=f"{type(error).__name__}: {error}")
