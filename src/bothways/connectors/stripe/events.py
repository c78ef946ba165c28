"""Stripe's stored events, asked for: what webhooks missed is found here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from bothways.connectors.stripe.envelope import open_envelope, parse
from bothways.connectors.stripe.lists import Document, read_all
from bothways.connectors.stripe.objects import event_types
from bothways.connectors.stripe.remote import StripeRemote
from bothways.model.remote import RemoteEvent
from bothways.ports import RawEvent

EVENTS = "/v1/events"
MEMORY_SECONDS = 30 * 24 * 3600.0
"""How long Stripe keeps events."""

LATE_SECONDS = 600
"""So old are the oldest of these: events may become visible after younger ones."""

_TYPES_A_LIST = 20


class StripeEvents:
    """``ports.EventFeed`` for the mapped objects of one account."""

    def __init__(self, remote: StripeRemote, objects: Sequence[str]) -> None:
        self._remote = remote
        self._objects = tuple(objects)
        self._types = event_types(self._objects)

    def decode(self, payload: bytes) -> RemoteEvent | None:
        envelope = open_envelope(parse(payload), self._objects, self._remote.livemode)
        return envelope.event(self._remote.system) if envelope else None

    async def since(self, created: int, seen: Callable[[str], bool]) -> Sequence[RawEvent]:
        """As the port says. Holds all of them in memory: Stripe's list can only be read from its newest event on.

        Whoever asks for what has not happened yet has a clock that is ahead of Stripe's, and is given the newest.
        """
        found: list[RawEvent] = []
        now = int(await self._remote.api.now())
        created = created if created <= now else now - LATE_SECONDS
        for first in range(0, len(self._types), _TYPES_A_LIST):
            types = list(self._types[first : first + _TYPES_A_LIST])
            async for page in read_all(self._remote.api, EVENTS, {"types": types, "created": {"gte": created}}):
                found += [raw for raw in map(self._raw, self._unseen(page.documents, seen)) if raw]
        found.reverse()
        found.sort(key=lambda event: event.created)  # stable: within a second, the list's own order stays
        return found

    def _unseen(self, documents: Sequence[Document], seen: Callable[[str], bool]) -> list[Document]:
        return [d for d in documents if not seen(str(d.get("id")))]

    def _raw(self, document: Document) -> RawEvent | None:
        envelope = open_envelope(document, self._objects, self._remote.livemode)
        if envelope is None:
            return None
        payload = json.dumps(document, separators=(",", ":")).encode()
        return RawEvent(envelope.id, envelope.described.name, envelope.remote_id, envelope.created, payload)
