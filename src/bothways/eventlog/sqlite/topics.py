"""What topics there are, remembered: once made, a topic stays as it is."""

from __future__ import annotations

from collections.abc import Mapping

from bothways.eventlog.sqlite.reader import Reader
from bothways.eventlog.sqlite.store import Place, load_topics


class Topics:
    """Topics by name; any thread may ask."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known: Mapping[str, Place] = {}

    @property
    def known(self) -> Mapping[str, Place]:
        """Those that were asked for, and others."""
        return self._known

    def get(self, name: str) -> Place | None:
        """The topic. Blocks for a moment if it was not known yet."""
        place = self._known.get(name)
        if place is None:
            self._known = self._reader.submit(load_topics).result()
            place = self._known.get(name)
        return place
