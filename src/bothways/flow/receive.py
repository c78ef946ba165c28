"""What remote systems post to us: verified, appended to the log, then answered. All work happens behind the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bothways.model.errors import BothwaysError, Unavailable
from bothways.ports import Message, RawEvent

APPEND_SECONDS = 8.0
"""The log gets this long; the sender is told to try again before it gives up by itself."""


TROUBLE_SECONDS = 120.0
"""So long a failed append counts against readiness, should no other webhook come."""


class Receiver(Protocol):
    """Takes what one remote system posts."""

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Return when the log has it; False where it is of no interest and was not kept. Header names are small.

        Raises ``WebhookRefused`` for what cannot be taken, now or later, and ``Unavailable`` for what should be sent
        again. The body is handed over as it came, since signatures are made over bytes.
        """
        ...


class Appends(Protocol):
    """The part of a log that is needed here."""

    async def append(self, messages: Sequence[Message]) -> None:
        """Append and wait: on return all are durable. Raises ``Unavailable`` when that is not sure."""
        ...


Verify = Callable[[bytes, Mapping[str, str]], RawEvent | None]
"""Checks that body and headers come from the system; None for what nothing is mapped to. Raises ``WebhookRefused``."""


@dataclass(slots=True)
class WebhookReceiver:
    """Verified events go to the topics of the entities that their object stands for."""

    verify: Verify
    log: Appends
    topics: Mapping[str, Sequence[str]]
    """Kind of object → topics, ``<prefix>.<system>.<entity>``, one for each entity that it is mapped to."""
    append_seconds: float = APPEND_SECONDS
    appended: Callable[[RawEvent], None] | None = None
    """Told of each event once the log has it: the poller need not put it there again."""
    now: Callable[[], float] = time.monotonic
    _failed: tuple[float, str] | None = field(default=None, init=False)
    """When and why the last append failed."""

    def ready(self) -> str | None:
        """None unless the last append failed, a while ago at most; then why."""
        if self._failed is None or self.now() - self._failed[0] > TROUBLE_SECONDS:
            return None
        return f"the last webhook could not be kept: {self._failed[1]}"

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> bool:
        event = self.verify(body, headers)
        messages = event_messages(event, self.topics) if event is not None else ()
        if event is None or not messages:
            return False
        try:
            await self._append(messages)
        except BothwaysError as error:
            self._failed = self.now(), str(error)
            raise
        self._failed = None
        if self.appended is not None:
            self.appended(event)
        return True

    async def _append(self, messages: Sequence[Message]) -> None:
        try:
            async with asyncio.timeout(self.append_seconds):
                await self.log.append(messages)
        except TimeoutError:
            raise Unavailable(f"the log did not take the event in {self.append_seconds:g} s", retry_after=5.0) from None


def event_messages(event: RawEvent, topics: Mapping[str, Sequence[str]]) -> tuple[Message, ...]:
    """The event as it goes on the log: keyed by the remote id, its JSON untouched."""
    key = event.remote_id.encode()
    return tuple(Message(topic, key, event.payload) for topic in topics.get(event.object, ()))
