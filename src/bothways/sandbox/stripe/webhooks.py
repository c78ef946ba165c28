"""Deliveries of events to webhook endpoints: signed, concurrent, tried again, and never in the way of an answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from bothways.sandbox.stripe.faults import Fault, Faults, Rule
from bothways.sandbox.stripe.poster import NotAnswered, Poster
from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.state import Notice, State
from bothways.sandbox.stripe.words import Document


def sign(payload: bytes, secrets: list[str], timestamp: int) -> str:
    """The header ``Stripe-Signature``: HMAC-SHA256 of ``"{t}." + body``, one ``v1`` for each secret."""
    signed = f"{timestamp}.".encode() + payload
    marks = [f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets]
    return ",".join([f"t={timestamp}", *marks])


@dataclass(frozen=True, slots=True)
class _OldSecret:
    secret: str = field(repr=False)
    expires_at: float


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint, and how far it is."""

    number: int
    """1 for the first."""
    event: str
    type: str
    endpoint: str
    url: str
    began_at: float
    """On the sandbox's clock."""
    tries: int = 0
    taken: int = 0
    """How often it was answered 2xx: twice, where it is doubled."""
    status: int | None = None
    """The last answer's; None where there was none."""
    reason: str | None = None
    """Why there was no answer at the last try."""
    fault: Fault | None = None
    over: bool = False
    """Delivered or given up: nothing more is tried."""


@dataclass(slots=True)
class DeliveryCounts:
    """What became of deliveries so far."""

    delivered: int = 0
    failed_tries: int = 0
    given_up: int = 0
    dropped: int = 0


class Deliveries:
    """All deliveries of one sandbox. Made and used on one event loop."""

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], float],
        state: State,
        faults: Faults,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._now = now
        self._state = state
        self._faults = faults
        self._changed = changed
        self._poster = Poster(settings.webhook_timeout_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._places: dict[str, asyncio.Semaphore] = {}
        self._held: dict[str, list[asyncio.Event]] = {}
        self._old_secrets: dict[str, _OldSecret] = {}
        self.counts = DeliveryCounts()
        self.log: deque[Delivery] = deque(maxlen=settings.delivery_log_size)
        """The last deliveries, oldest first."""
        self._begun = 0

    @property
    def pending(self) -> int:
        """Deliveries that are neither made nor given up."""
        return len(self._tasks)

    def start(self, notice: Notice) -> None:
        """Begin to tell the endpoints; returns at once."""
        for endpoint in notice.endpoints:
            task = asyncio.get_running_loop().create_task(self._tell(endpoint, notice.event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def roll_secret(self, endpoint: str, keep_seconds: float) -> str:
        """A new secret; the old one signs too, for so long on the sandbox's clock. Raises ``KeyError``."""
        self._old_secrets[endpoint] = _OldSecret(self._state.secrets[endpoint], self._now() + keep_seconds)
        self._state.secrets[endpoint] = self._state.new_secret()
        return self._state.secrets[endpoint]

    async def quiet(self) -> None:
        """Return when no delivery is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._poster.close()

    async def _tell(self, endpoint_id: str, event: Document) -> None:
        endpoint = self._state.find("webhook_endpoint", endpoint_id)
        if endpoint is None:
            return
        payload = _payload(event, endpoint)
        rule = self._faults.of_delivery(str(event["type"]), str(endpoint["url"]), payload)
        delivery = self._begin(event, endpoint, rule)
        try:
            for _ in range(await self._suffer(rule, endpoint_id)):
                if await self._deliver(delivery, payload):
                    self._release_held(endpoint_id)
        finally:
            delivery.over = True
            self._changed()
        if delivery.taken:
            self._state.events.delivered(delivery.event)

    def _begin(self, event: Document, endpoint: Document, rule: Rule | None) -> Delivery:
        self._begun += 1
        delivery = Delivery(
            self._begun,
            str(event["id"]),
            str(event["type"]),
            str(endpoint["id"]),
            str(endpoint["url"]),
            self._now(),
            fault=rule.fault if rule else None,
        )
        self.log.append(delivery)
        self._changed()
        return delivery

    async def _suffer(self, rule: Rule | None, endpoint_id: str) -> int:
        """Let the fault happen; returns how often the event is to be delivered."""
        match rule.fault if rule else None:
            case Fault.DROPPED:
                self.counts.dropped += 1
                return 0
            case Fault.DOUBLED:
                return 2
            case Fault.LATE:
                assert rule
                await asyncio.sleep(rule.seconds)
            case Fault.REORDERED:
                assert rule
                await self._hold(endpoint_id, rule.seconds)
            case _:
                pass
        return 1

    async def _hold(self, endpoint_id: str, seconds: float) -> None:
        overtaken = asyncio.Event()
        held = self._held.setdefault(endpoint_id, [])
        held.append(overtaken)
        try:
            async with asyncio.timeout(seconds):
                await overtaken.wait()
        except TimeoutError:
            held.remove(overtaken)

    def _release_held(self, endpoint_id: str) -> None:
        for overtaken in self._held.pop(endpoint_id, []):
            overtaken.set()

    async def _deliver(self, delivery: Delivery, payload: bytes) -> bool:
        """Try until it is taken, the tries are used up, or the endpoint is gone or disabled."""
        wait = self._settings.webhook_backoff_seconds
        for last in range(self._settings.webhook_tries, 0, -1):
            endpoint = self._state.find("webhook_endpoint", delivery.endpoint)
            if endpoint is None or endpoint["status"] != "enabled":
                break
            if await self._try(delivery, str(endpoint["url"]), payload):
                self.counts.delivered += 1
                delivery.taken += 1
                return True
            self.counts.failed_tries += 1
            self._changed()
            if last > 1:
                await asyncio.sleep(wait)
                wait = min(2 * wait, self._settings.webhook_backoff_limit_seconds)
        self.counts.given_up += 1
        return False

    async def _try(self, delivery: Delivery, url: str, payload: bytes) -> bool:
        """One request. Anything but 2xx is a failure, redirects too."""
        places = self._places.setdefault(delivery.endpoint, asyncio.Semaphore(self._settings.webhook_concurrency))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (bothways sandbox)",
        }
        async with places:
            headers["Stripe-Signature"] = sign(payload, self._secrets(delivery.endpoint), int(self._now()))
            delivery.tries += 1
            try:
                delivery.status, delivery.reason = await self._poster.post(url, payload, headers), None
            except NotAnswered as error:
                delivery.status, delivery.reason = None, str(error) or "no answer in time"
                return False
            return 200 <= delivery.status < 300

    def _secrets(self, endpoint_id: str) -> list[str]:
        current = self._state.secrets.get(endpoint_id)
        secrets = [current] if current else []
        old = self._old_secrets.get(endpoint_id)
        if old and old.expires_at > self._now():
            secrets.append(old.secret)
        return secrets


def _payload(event: Document, endpoint: Document) -> bytes:
    """The event in the endpoint's own API version."""
    return orjson.dumps(event | {"api_version": endpoint["api_version"] or event["api_version"]})
