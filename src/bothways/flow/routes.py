"""Which message on the log is work for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bothways.eventlog.codec import decode_change, payload
from bothways.flow.context import Context
from bothways.model.change import Change, Operation
from bothways.model.outcome import Direction
from bothways.model.remote import RemoteEvent
from bothways.ports import Delivered, EventFeed
from bothways.sync.held import Trigger


@dataclass(frozen=True, slots=True)
class WorkKey:
    """What is worked on in order: one record at one system, or one remote object."""

    direction: Direction
    system: str
    entity: str
    key: str
    """The record's key (out), or the remote id (in)."""


@dataclass(frozen=True, slots=True)
class Work:
    """One reason to look at it."""

    change: Change | None = None
    event: RemoteEvent | None = None
    payload: str = ""
    trigger: Trigger | None = None
    """What the log said of the record before it had to wait."""
    parked: str | None = None
    """It waited in the state under this id."""
    again: bool = False
    """An event that is dealt with though it was seen: somebody replays it."""


class Unreadable(Exception):
    """A message that is neither a change nor an event of ours; ``entity`` and ``system`` as far as the topic tells."""

    def __init__(self, reason: str, entity: str, system: str) -> None:
        super().__init__(reason)
        self.entity, self.system = entity, system


@dataclass(frozen=True, slots=True)
class Routes:
    """The topics that delivery reads."""

    context: Context
    tables: Mapping[str, Mapping[str, str]]
    """Catalogue topic → table (``schema.name`` as in ``source``) → entity."""
    events: Mapping[str, tuple[str, str]]
    """Remote topic → (system, entity)."""
    feeds: Mapping[str, EventFeed]

    @property
    def topics(self) -> Sequence[str]:
        """All of them."""
        return [*self.tables, *self.events]

    def work(self, message: Delivered) -> Sequence[tuple[WorkKey, Work]]:
        """What a message asks for; nothing for tombstones, truncates, and what is no concern of ours."""
        if message.value is None:
            return ()
        if message.topic in self.events:
            return self._event(message, *self.events[message.topic])
        return self._change(message)

    def _change(self, message: Delivered) -> Sequence[tuple[WorkKey, Work]]:
        tables = self.tables[message.topic]
        first = next(iter(tables.values()))
        try:
            entity = first if len(tables) == 1 else _entity(message, tables)
            change = decode_change(entity, message) if entity is not None else None
        except ValueError as error:
            raise Unreadable(str(error), first, "") from error
        if entity is None or change is None or change.key is None or change.operation is Operation.TRUNCATE:
            return ()
        work = Work(change=change)
        return [
            (WorkKey(Direction.OUT, system, entity, change.key), work)
            for system in self.context.systems(entity)
            if system != change.origin
        ]

    def _event(self, message: Delivered, system: str, entity: str) -> Sequence[tuple[WorkKey, Work]]:
        assert message.value is not None, "tombstones are no events"
        try:
            event = self.feeds[system].decode(message.value)
            payload = message.value.decode()
        except ValueError as error:
            raise Unreadable(str(error), entity, system) from error
        if event is None:
            return ()
        key = WorkKey(Direction.IN, system, entity, event.snapshot.id)
        return ((key, Work(event=event, payload=payload)),)


def _entity(message: Delivered, tables: Mapping[str, str]) -> str | None:
    """Whose change it is, on a topic that several entities share. Raises ``ValueError`` where nothing says so."""
    envelope = payload(message.value or b"{}")
    source = envelope.get("source") if isinstance(envelope, dict) else None
    if not isinstance(source, dict):
        raise ValueError(f"the message {message.topic}/{message.partition}@{message.offset} names no table")
    return tables.get(f"{source.get('schema')}.{source.get('table')}")
