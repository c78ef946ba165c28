"""What people look at on the log: messages as `tail` shows them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from bothways.config import Settings
from bothways.config.problems import suggestion
from bothways.eventlog.codec import CAUSE, ORIGIN, has_schema, key_text, payload
from bothways.model.errors import SettingsError
from bothways.ports import Delivered, LogReading
from bothways.wiring.topics import all_topics, event_topics

WHAT = {"c": "created", "u": "updated", "d": "deleted", "r": "read", "t": "truncated"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One message, for people."""

    message: Delivered
    what: str
    """What happened: ``created``, ``customer.updated``, ``tombstone``."""
    changed: Mapping[str, Any]
    """The values that it brought."""

    @property
    def topic(self) -> str:
        return self.message.topic

    @property
    def key(self) -> str:
        key = self.message.key or b""
        if has_schema(key):
            return key_text(payload(key) or {})
        return key.decode(errors="replace")

    @property
    def timestamp_ms(self) -> int:
        return self.message.timestamp_ms

    @property
    def origin(self) -> str | None:
        """The system whose change it is."""
        found = self.message.header(ORIGIN)
        return found.decode(errors="replace") if found else None

    def document(self) -> dict[str, object]:
        """All of it, for programs; the value as JSON if it is any."""
        cause = self.message.header(CAUSE)
        return {
            "topic": self.topic,
            "partition": self.message.partition,
            "offset": self.message.offset,
            "time_ms": self.timestamp_ms,
            "key": self.key,
            "what": self.what,
            "origin": self.origin,
            "cause": cause.decode(errors="replace") if cause else None,
            "value": _parsed(self.message.value),
        }


def topics_of(settings: Settings, names: Sequence[str]) -> Sequence[str]:
    """The topics that entities or topics of these names stand for; all where none is named."""
    known = [topic.name for topic in all_topics(settings)]
    if not names:
        return known
    found: list[str] = []
    for name in names:
        if name in settings.entities:
            reported = [topic for topic, (_, entity) in event_topics(settings).items() if entity == name]
            found += [settings.topic(name), *reported]
        elif name in known:
            found.append(name)
        else:
            raise SettingsError(f'"{name}" is no entity and no topic{suggestion(name, [*settings.entities, *known])}')
    return list(dict.fromkeys(found))


async def follow(log: LogReading, topics: Sequence[str], *, from_start: bool) -> AsyncIterator[Seen]:
    """Messages as they come, without end."""
    messages = log.follow(topics, from_start=from_start)
    async with aclosing(messages) as open_messages:  # type: ignore[type-var]  # adapters give generators
        async for message in open_messages:
            yield seen(message)


def seen(message: Delivered) -> Seen:
    """What a message says; whatever it is, it can be shown."""
    value = _parsed(message.value)
    if value is None:
        return Seen(message, "tombstone", {})
    if not isinstance(value, dict):
        return Seen(message, "message", {"value": value})
    if "op" in value and "source" in value:
        return Seen(message, WHAT.get(str(value["op"]), str(value["op"])), value.get("after") or {})
    if value.get("object") == "event":
        data = value.get("data")
        return Seen(message, str(value.get("type")), _brought(data if isinstance(data, dict) else {}))
    return Seen(message, "message", value)


def _brought(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of an update the values that are new, of anything else nothing: the whole object is long."""
    before, document = data.get("previous_attributes"), data.get("object")
    if not isinstance(before, dict) or not isinstance(document, dict):
        return {}
    return {name: document.get(name) for name in before}


def _parsed(value: bytes | None) -> Any:
    """JSON is shown without the schema that may stand around it: it is long, and tells people little."""
    if value is None:
        return None
    try:
        return payload(value) if has_schema(value) else json.loads(value)
    except ValueError:
        return value.decode(errors="replace")
