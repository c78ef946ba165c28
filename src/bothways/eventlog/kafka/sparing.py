"""What librdkafka logs, thinned out: while a broker is away it says the same several times a second."""

from __future__ import annotations

import logging
import re

from bothways.insight.seldom import Seldom

_BROKER = re.compile(r"\[thrd:(?:\w+://)?([^\]/]*)")


class Sparing(logging.Filter):
    """A kind of line (its facility, the broker it is about) once a minute, and as a warning at most.

    What is wrong for good reaches us as an error, and is told there: these lines only say what librdkafka tries. All
    clients of the process share the count, since they lose a broker together. confluent-kafka logs with the arguments
    facility, client, text.
    """

    def __init__(self, seldom: Seldom | None = None) -> None:
        super().__init__()
        self._seldom = seldom or Seldom()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        # One set of options serves producers and consumers; librdkafka warns of each that is for the other kind, and of
        # one that we set.
        if "property and will be ignored by this" in text or "enable.gapless.guarantee is experimental" in text:
            return False
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        found = _BROKER.search(text)
        kind = text.partition(" ")[0], found[1] if found else ""
        return self._seldom.passes(kind) is not None
