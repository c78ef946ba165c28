"""One sandbox: an account, its clock, its faults, and the deliveries of its webhooks."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from dataclasses import dataclass

from bothways.sandbox.stripe.api import Api, Exchange
from bothways.sandbox.stripe.changes import Changes
from bothways.sandbox.stripe.clock import MovableClock
from bothways.sandbox.stripe.faults import Fault, Faults
from bothways.sandbox.stripe.idempotency import Keys
from bothways.sandbox.stripe.more_objects import DESCRIPTIONS
from bothways.sandbox.stripe.params import from_json
from bothways.sandbox.stripe.ratelimit import Limits
from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.state import Notice, State
from bothways.sandbox.stripe.webhooks import Deliveries, DeliveryCounts
from bothways.sandbox.stripe.words import Cause, Document, Request, Response


@dataclass(frozen=True, slots=True)
class Logged:
    """One request that was answered."""

    number: int
    """1 for the first."""
    arrived_at: float
    """Unix seconds, real time."""
    method: str
    path: str
    status: int
    dropped: bool
    replayed: bool
    fault: Fault | None
    idempotency_key: str | None
    request_id: str


class Sandbox:
    """A stand-in for one Stripe account in test mode. Belongs to one event loop; everything is in memory."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.changes = Changes()
        self._begin()

    def _begin(self) -> None:
        settings = self.settings
        chances = random.Random(settings.seed)
        self.clock = MovableClock()
        self.faults = Faults(random.Random(chances.getrandbits(64)))
        self.limits = Limits(settings.rate, settings.burst, settings.concurrency, time.monotonic)
        self.keys = Keys(settings.key_memory_seconds, self.clock.now)
        self.state = State(settings, self.clock.now, chances, self._notify)
        self.deliveries = Deliveries(settings, self.clock.now, self.state, self.faults, self.changes.note)
        self.requests: deque[Logged] = deque(maxlen=settings.request_log_size)
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self._answered = 0
        self._api = Api(settings, self.clock, self.state, self.keys, self.limits, self.faults)

    async def reset(self) -> None:
        """An empty account, no faults, nothing under way, the clock at real time."""
        await self.deliveries.close()
        self._begin()
        self.changes.note()

    async def close(self) -> None:
        """Give up deliveries under way."""
        await self.deliveries.close()

    async def answer(self, request: Request) -> Response:
        """Answer a request to the API."""
        arrived_at = time.time()
        response, exchange = await self._api.answer(request)
        self._log(arrived_at, exchange, response)
        return response

    def edit(self, object: str, id: str, /, **params: object) -> Document:
        """Change an object as a person does in the dashboard: its event names no request. None unsets."""
        raw = {name: from_json(value) for name, value in params.items()}
        return self.state.update(DESCRIPTIONS[object], id, raw, Cause())

    def create(self, object: str, /, **params: object) -> Document:
        """Create an object as a person does in the dashboard."""
        raw = {name: from_json(value) for name, value in params.items()}
        return self.state.create(DESCRIPTIONS[object], raw, Cause())

    def delete(self, object: str, id: str) -> Document:
        """Delete an object as a person does in the dashboard."""
        return self.state.delete(DESCRIPTIONS[object], id, {}, Cause())

    def delivery_counts(self) -> DeliveryCounts:
        """What became of webhooks so far."""
        return self.deliveries.counts

    def _notify(self, notice: Notice) -> None:
        self.changes.note()
        if notice.endpoints:
            self.deliveries.start(notice)

    def _log(self, arrived_at: float, exchange: Exchange, response: Response) -> None:
        request = exchange.request
        self._answered += 1
        self.counts[request.method, _pattern(request.path), response.status] += 1
        self.requests.append(
            Logged(
                self._answered,
                arrived_at,
                request.method,
                request.path,
                response.status,
                response.dropped,
                exchange.replayed,
                exchange.fault,
                request.headers.get("idempotency-key"),
                exchange.id,
            )
        )
        self.changes.note()


def _pattern(path: str) -> str:
    """The path with ids left out, so that counts stay few."""
    parts = path.split("/")
    if len(parts) > 3 and parts[3] != "search":
        parts[3:] = ["{id}"]
    return "/".join(parts)[:100]
