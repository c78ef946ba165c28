"""Events that are too large for their topic are kept in the state: they must not hold up those behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from bothways.flow.receive import Appends
from bothways.model.errors import Refused
from bothways.model.outcome import Direction, Parked
from bothways.ports import Catalogue, Clock, EventFeed, Message

OVERSIZED = "oversized"
"""What such an event waits on: nothing, it is due at once."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LogOrState:
    """``Appends`` for one system's events. Delivery takes up what went into the state as it does what is on the log.

    Other readers of the topic miss such an event, which the log tells with what mends it.
    """

    log: Appends
    catalogue: Catalogue
    clock: Clock
    feed: EventFeed
    system: str
    entities: Mapping[str, str]
    """Topic → entity."""

    async def append(self, messages: Sequence[Message]) -> None:
        """As ``Appends``; where one of them is refused, each is tried by itself.

        Raises ``Busy`` where the state cannot be written, and ``Refused`` for what is no event that could be kept.
        """
        try:
            await self.log.append(messages)
        except Refused as refused:
            if len(messages) == 1:
                await self._keep(messages[0], refused)
                return
        else:
            return
        for message in messages:  # those that the log has by now come twice, and are dropped by delivery
            await self.append([message])

    async def _keep(self, message: Message, refused: Refused) -> None:
        event = self.feed.decode(message.value or b"")
        if event is None:
            raise refused
        parked = Parked(
            id=f"in:{self.system}:{event.id}",
            direction=Direction.IN,
            system=self.system,
            entity=self.entities[message.topic],
            key=event.snapshot.id,
            waits_on=OVERSIZED,
            payload=(message.value or b"").decode(),
            due=self.clock.now(),
        )
        async with self.catalogue.transaction() as tx:
            await tx.waiting.park(parked)
        _log.warning("event.oversized", system=self.system, id=event.id, topic=message.topic, error=str(refused))
