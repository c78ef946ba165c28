"""What librdkafka logs, thinned out: while a broker is away it says the same several times a second."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable

EVERY_SECONDS = 60.0

_BROKER = re.compile(r"\[thrd:(?:\w+://)?([^\]/]*)")


class Sparing(logging.Filter):
    """A kind of line (its facility, the broker it is about) once in ``seconds``, and as a warning at most.

    What is wrong for good reaches us as an error, and is told there: these lines only say what librdkafka tries. All
    clients of the process share the count, since they lose a broker together. confluent-kafka logs with the arguments
    facility, client, text. librdkafka logs from its own threads' callbacks, so it is locked.
    """

    def __init__(self, seconds: float = EVERY_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        # One set of options serves producers and consumers; librdkafka warns of each that is for the other kind.
        if "property and will be ignored by this" in text:
            return False
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        found = _BROKER.search(text)
        kind = text.partition(" ")[0], found[1] if found else ""
        now = self._now()
        with self._lock:
            last = self._last.get(kind)
            if last is not None and now - last < self._seconds:
                return False
            self._last[kind] = now
        return True
