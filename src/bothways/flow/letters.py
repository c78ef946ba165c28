"""Dead letters go on their topic, and those that somebody wants tried again go back to delivery."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import NoReturn, Protocol

import structlog

from bothways.flow.sweep import REPLAY
from bothways.model.errors import Busy, Unavailable
from bothways.model.link import Link
from bothways.model.outcome import DeadLetter, Direction, Parked
from bothways.model.record import RecordId
from bothways.ports import Clock, EventFeed, Log, Message, Transaction

BATCH = 100
REASON_LENGTH = 200
"""So much of a reason goes into the log; all of it is in the letter."""
CLASS = "io.bothways.DeadLetter"
"""What stands where Kafka Connect names a Java class: people's tools ask for the header."""

_log = structlog.get_logger(__name__)


class Kept(Protocol):
    """A dead letter as the state keeps it."""

    @property
    def id(self) -> int: ...
    @property
    def letter(self) -> DeadLetter: ...


class KeptLetters(Protocol):
    """The state's dead letters, inside one transaction."""

    async def unpublished(self, limit: int) -> Sequence[Kept]:
        """Letters that are not on their topic, locked; what others hold is left out."""
        ...

    async def set_published(self, ids: Sequence[int]) -> None:
        """They lie on their topic."""
        ...

    async def take_marked(self, limit: int) -> Sequence[Kept]:
        """Letters that are to be tried again, taken out."""
        ...


Open = Callable[[], AbstractAsyncContextManager[tuple[Transaction, KeptLetters]]]
"""A transaction, and the letters in it."""


class DeadLetters:
    """A role: publishes what is new, and parks what is to be replayed so that delivery takes it up at once.

    A crash between topic and state puts a letter on the topic twice; none is left out.
    """

    name = "dead letters"

    def __init__(
        self,
        open_letters: Open,
        log: Log,
        clock: Clock,
        feeds: Mapping[str, EventFeed],
        *,
        topic: str,
        every: float = 1.0,
    ) -> None:
        self._open, self._log, self._clock, self._feeds = open_letters, log, clock, feeds
        self._topic, self._every = topic, every

    def ready(self) -> str | None:
        """Nothing depends on it."""
        return None

    async def run(self) -> NoReturn:
        """Again and again, until cancelled."""
        while True:
            try:
                moved = await self.publish() + await self.replay()
            except (Busy, Unavailable) as error:
                _log.warning("letters.postponed", error=str(error))
                moved = 0
            if moved < BATCH:
                await asyncio.sleep(self._every)

    async def publish(self) -> int:
        """Put new letters on their topic; returns how many."""
        async with self._open() as (_, letters):
            found = await letters.unpublished(BATCH)
            if found:
                await self._log.append([self._message(each) for each in found])
                await letters.set_published([each.id for each in found])
        for each in found:
            _tell(each)
        return len(found)

    async def replay(self) -> int:
        """Give marked letters back to delivery; returns how many."""
        async with self._open() as (transaction, letters):
            found = await letters.take_marked(BATCH)
            for each in found:
                await self._give_back(transaction, each)
        return len(found)

    async def _give_back(self, transaction: Transaction, kept: Kept) -> None:
        letter = kept.letter
        remote_id = self._remote_id(letter) if letter.direction is Direction.IN else None
        if letter.system not in self._feeds or (letter.direction is Direction.IN and remote_id is None):
            hint = "this letter holds nothing that could be tried again: change the value where it was made"
            await transaction.journal.note(replace(letter, hint=hint))
            return
        await _accept_again(transaction, letter)
        parked = Parked(
            id=f"{REPLAY}:{kept.id}",
            direction=letter.direction,
            system=letter.system,
            entity=letter.entity,
            key=remote_id or letter.key,
            waits_on=REPLAY,
            payload=letter.payload if remote_id else "",
            due=self._clock.now(),
        )
        await transaction.waiting.park(parked)

    def _remote_id(self, letter: DeadLetter) -> str | None:
        """The object that the letter's event is about; None where it holds no event."""
        feed = self._feeds.get(letter.system)
        try:
            event = feed.decode(letter.payload.encode()) if feed else None
        except ValueError:
            return None
        return event.snapshot.id if event else None

    def _message(self, kept: Kept) -> Message:
        """As Kafka Connect writes them, so that tools made for its dead letters read ours.

        Source: org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter
        """
        letter = kept.letter
        topic, partition, offset = _place(letter.change)
        headers = {
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "connector.name": letter.system,
            "task.id": "0",
            "stage": "TASK_PUT" if letter.direction is Direction.OUT else "VALUE_CONVERTER",
            "class.name": CLASS,
            "exception.class.name": CLASS,
            "exception.message": letter.reason,
            "exception.stacktrace": letter.hint,
        }
        ours = {"id": str(kept.id), "direction": letter.direction.value, "entity": letter.entity}
        ours |= {"field": letter.field} if letter.field else {}
        encoded = [(f"__connect.errors.{name}", value.encode()) for name, value in headers.items()]
        encoded += [(f"bothways.{name}", value.encode()) for name, value in ours.items()]
        return Message(self._topic, letter.key.encode(), letter.payload.encode(), tuple(encoded))


def _tell(kept: Kept) -> None:
    letter = kept.letter
    _log.warning(
        "letter.new",
        id=kept.id,
        direction=letter.direction.value,
        system=letter.system,
        entity=letter.entity,
        key=letter.key,
        position=letter.change,
        field=letter.field,
        reason=textwrap.shorten(letter.reason, REASON_LENGTH, placeholder=" …"),
    )


async def _accept_again(transaction: Transaction, letter: DeadLetter) -> None:
    """What was refused once is left out until it changes; a replay is meant to try the same value."""
    if not letter.key.startswith("{"):
        return  # there was no record yet
    link = await transaction.links.lock(RecordId(letter.entity, letter.key), letter.system)
    if link is not None:
        await transaction.links.save(_without_refusals(link, letter))


def _without_refusals(link: Link, letter: DeadLetter) -> Link:
    if letter.direction is Direction.OUT:
        kept = {c: v for c, v in link.refused.items() if letter.field not in (None, c)}
        return replace(link, refused=kept, revision=link.revision + 1)
    kept = {c: v for c, v in link.refused_inward.items() if letter.field not in (None, c)}
    return replace(link, refused_inward=kept, revision=link.revision + 1)


def _place(change: str) -> tuple[str, str, str]:
    """Topic, partition and offset of ``topic/partition@offset``; empty for what came from elsewhere."""
    where, _, offset = change.rpartition("@")
    topic, _, partition = where.rpartition("/")
    return (topic, partition, offset) if topic and partition.isdigit() and offset.isdigit() else ("", "", "")
