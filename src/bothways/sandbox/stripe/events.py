"""Events: made by every effect, kept for 30 days, listed newest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

from bothways.sandbox.stripe.errors import ApiError, no_such, wrong_type
from bothways.sandbox.stripe.filters import Created, EventType, Filter, Keep, strings
from bothways.sandbox.stripe.listing import list_document, list_page
from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.shelf import Page, Shelf
from bothways.sandbox.stripe.words import Cause, Document, Raw, RawParams

PRUNE_EVERY = 1_000
"""Old events are thrown away when so many more have come; until then they are only not shown."""


@dataclass(frozen=True, slots=True)
class EventTypes:
    """``types[]``: up to twenty types, each with ``*`` if need be."""

    def read(self, raw: Raw, path: str) -> Keep:
        keeps = [EventType().read(item, path) for item in strings(raw, path, 20)]
        return lambda event: any(keep(event) for keep in keeps)


@dataclass(frozen=True, slots=True)
class DeliverySuccess:
    """Whether every endpoint that wanted the event has taken it."""

    def read(self, raw: Raw, path: str) -> Keep:
        if raw not in ("true", "false"):
            raise wrong_type("boolean", raw, path)
        wanted = raw == "true"
        return lambda event: (event["pending_webhooks"] == 0) is wanted


FILTERS: dict[str, Filter] = {
    "created": Created(),
    "delivery_success": DeliverySuccess(),
    "type": EventType(),
    "types": EventTypes(),
}


class Events:
    """The account's events."""

    def __init__(self, settings: Settings, now: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._settings = settings
        self._now = now
        self._new_id = new_id
        self._shelf = Shelf()
        self._until_prune = PRUNE_EVERY

    def __len__(self) -> int:
        return len(self._shelf)

    def make(self, type: str, shown: Document, previous: Document | None, cause: Cause, pending: int) -> Document:
        """Note what happened; ``pending`` is the number of endpoints that are to be told."""
        self._prune()
        data: Document = {"object": shown}
        if previous is not None:
            data["previous_attributes"] = previous
        event: Document = {
            "id": self._new_id(),
            "object": "event",
            "api_version": self._settings.api_version,
            "created": int(self._now()),
            "data": data,
            "livemode": False,
            "pending_webhooks": pending,
            "request": {"id": cause.request_id, "idempotency_key": cause.idempotency_key},
            "type": type,
        }
        self._shelf.put(str(event["id"]), event)
        return event

    def delivered(self, id: str) -> None:
        """One endpoint less is waiting for this event."""
        event = self._shelf.get(id)
        if event is not None:
            pending = event["pending_webhooks"]
            assert isinstance(pending, int)
            self._shelf.put(id, event | {"pending_webhooks": max(0, pending - 1)})

    def retrieve(self, id: str) -> Document:
        """One event. Raises ``ApiError`` 404 for one that is unknown or too old."""
        event = self._shelf.get(id)
        if event is None or not self._kept(event):
            raise no_such("event", id, "id", 404)
        return event

    def list(self, params: RawParams) -> Document:
        """A page of events, newest first."""
        if "type" in params and "types" in params:
            raise ApiError(400, "You may only specify one of these parameters: type, types.", param="type")
        self._forget(sum(1 for _ in takewhile(lambda event: not self._kept(event), self._shelf.oldest())))
        return list_document(list_page(self._shelf, params, FILTERS, noun="event"), "/v1/events")

    def newest(self, limit: int, keep: Keep) -> Page:
        """The events that are to be kept, the newest first."""
        return self._shelf.page(limit, after=None, before=None, keep=lambda event: self._kept(event) and keep(event))

    def _kept(self, event: Document) -> bool:
        created = event["created"]
        assert isinstance(created, int)
        return created >= self._now() - self._settings.event_memory_seconds

    def _prune(self) -> None:
        self._until_prune -= 1
        if self._until_prune <= 0:
            self._until_prune = PRUNE_EVERY
            self._forget(sum(1 for _ in takewhile(lambda event: not self._kept(event), self._shelf.oldest())))

    def _forget(self, count: int) -> None:
        if count:
            self._shelf.forget_oldest(count)
