"""Stripe's event envelope, checked: what is not exactly a snapshot event of this account and mode is refused.

Source: https://docs.stripe.com/api/events/object
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import cast

import orjson

from bothways.connectors.stripe.fields import ObjectType
from bothways.connectors.stripe.objects import object_type
from bothways.connectors.stripe.params import read_object
from bothways.model.record import RemoteObject
from bothways.model.remote import Happening, RemoteEvent
from bothways.model.values import Value


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event of a mapped object."""

    id: str
    described: ObjectType
    happening: Happening
    created: int
    remote_id: str
    snapshot: RemoteObject
    previous: Mapping[str, Value] = field(repr=False)
    key: str | None
    request_id: str | None

    def event(self, system: str) -> RemoteEvent:
        """As the flow takes it."""
        return RemoteEvent(
            id=self.id,
            system=system,
            object=self.described.name,
            happening=self.happening,
            created=self.created,
            snapshot=self.snapshot,
            previous=self.previous,
            key=self.key,
            request_id=self.request_id,
        )


def parse(payload: bytes) -> Mapping[str, Value]:
    """The JSON object. Raises ``ValueError``, for deep nesting and for what is no UTF-8 too."""
    document = orjson.loads(payload)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return cast("Mapping[str, Value]", document)


def open_envelope(document: Mapping[str, Value], objects: Collection[str], livemode: bool) -> Envelope | None:
    """The event; None for a type that none of ``objects`` has. Raises ``ValueError`` for what is no such event."""
    check_event(document, livemode)
    event_id, kind, created = document.get("id"), document.get("type"), document.get("created")
    if not isinstance(event_id, str) or not event_id or not isinstance(kind, str):
        raise ValueError("an event without id or type")
    described = next((d for d in map(object_type, objects) if kind in d.events), None)
    if described is None:
        return None
    if not isinstance(created, int) or isinstance(created, bool):
        raise ValueError("an event without the time of its creation")
    data = _mapping(document, "data")
    shown = _mapping(data, "object")
    request = document.get("request")  # in old API versions the id alone, as text
    request = request if isinstance(request, Mapping) else {"id": request}
    happening, snapshot = _happened(described, kind, read_object(shown, described))
    return Envelope(
        id=event_id,
        described=described,
        happening=happening,
        created=created,
        remote_id=snapshot.id,
        snapshot=snapshot,
        previous=_previous(data),
        key=_text(request.get("idempotency_key")),
        request_id=_text(request.get("id")),
    )


def check_event(document: Mapping[str, Value], livemode: bool) -> None:
    """Raises ``ValueError``, with what to do, for what is not a snapshot event of this account in this mode."""
    if document.get("object") == "v2.core.event":
        raise ValueError("a thin event: make the event destination with snapshot payloads")
    if document.get("object") != "event":
        raise ValueError("not an event")
    if document.get("livemode") is not livemode:
        mine = "live" if livemode else "test"
        raise ValueError(f"an event of another mode than {mine}: use the webhook endpoint's secret of that mode")
    if document.get("account") is not None:
        raise ValueError("an event of a connected account: make the endpoint for events of your own account")


def _happened(described: ObjectType, kind: str, snapshot: RemoteObject) -> tuple[Happening, RemoteObject]:
    """A deletion's snapshot shows the object as it was; an archived object's shows it alive."""
    happening = described.events[kind]
    if happening is Happening.DELETED or snapshot.gone:
        return Happening.DELETED, RemoteObject(snapshot.id, gone=True, mark=snapshot.mark)
    return happening, snapshot


def _previous(data: Mapping[str, Value]) -> Mapping[str, Value]:
    previous = data.get("previous_attributes")
    if previous is not None and not isinstance(previous, Mapping):
        raise ValueError("previous_attributes is no object")
    return previous or {}


def _mapping(document: Mapping[str, Value], name: str) -> Mapping[str, Value]:
    value = document.get(name)
    if not isinstance(value, Mapping):
        raise ValueError(f"an event without {name}")
    return value


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) and value else None
