"""When capture sleeps, and what wakes it up.

A trigger notifies only while capture says that it sleeps (``ASLEEP`` in ``outbox.py``). It looks before its transaction
commits, so that capture may fall asleep in between and hear nothing of it. Such a transaction has begun to write when
capture falls asleep: as long as one of those is open, the outbox is looked at, the more rarely the longer it takes.
"""

from __future__ import annotations

import time

from bothways.connectors.postgres.capture_session import Control
from bothways.connectors.postgres.outbox_reader import OutboxReader

BREATH_SECONDS = 0.005
"""While there is more and more to do, so much of it comes together: each tick costs a write to the server's disk."""
UNSURE_SECONDS, UNSURE_PART = 0.002, 0.25
"""A transaction that may not notify is looked for after so long at first, then after this part of the time it took."""


class Sleep:
    """Belongs to one connection."""

    def __init__(self, control: Control, reader: OutboxReader) -> None:
        self._control = control
        self._reader = reader
        self._asleep = False
        self._slept = False
        """Since something was found last."""
        self._began = self._looked = 0.0
        self._unsure: frozenset[int] = frozenset()
        """Those that were open when we fell asleep."""

    def found(self) -> None:
        """There was something to do. Without a sleep before it, more is likely to come: nobody need wake us up."""
        if self._slept:
            self._slept = False
            return
        if self._asleep:
            self._asleep = False
            self._reader.awake()
        self._control.wait(self._reader.connection, BREATH_SECONDS)

    def wait(self, seconds: float) -> bool:
        """There was nothing to do: until there may be. Whether so long has passed without anything, since it did last.

        The first time nothing is waited for: what came before we said that we sleep has to be looked for once more.
        """
        if not self._asleep:
            self._fall_asleep()
            return False
        self._slept = True
        open_before = self._unsure
        if open_before:
            self._unsure &= self._reader.running()
        if self._unsure == open_before and not self._reader.notified:  # what has ended since may have left something
            self._control.wait(self._reader.connection, self._patience(seconds))
        return self._passed(seconds)

    def _fall_asleep(self) -> None:
        running = self._reader.sleep()
        if running is None:
            self._control.wait(self._reader.connection, BREATH_SECONDS)
            return
        self._asleep, self._slept, self._unsure = True, False, running
        self._began = self._looked = time.monotonic()

    def _patience(self, seconds: float) -> float:
        if not self._unsure:
            return seconds
        return min(seconds, max(UNSURE_SECONDS, (time.monotonic() - self._began) * UNSURE_PART))

    def _passed(self, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._looked < seconds:
            return False
        self._looked = now
        return True
