"""A remote system whose objects were just read as a whole: finding the counterpart of a row costs no call per row."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence

from bothways.flow.context import RemoteSystem
from bothways.model.errors import Transient
from bothways.model.link import Attempt
from bothways.model.record import RemoteObject
from bothways.model.remote import Answer
from bothways.model.values import Values
from bothways.ports import RemotePage
from bothways.sync.mapping import lookup

OBJECTS_PER_PAGE = 100
FRESH_SECONDS = 2.0
"""How old what is known of the list's newest end may be when a row's counterpart is looked for."""


class Scan:
    """What a reading of one kind of object has shown: ids, and the values to match by; nothing else is kept."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = frozenset(paths)
        self.ids: set[str] = set()
        self._found: dict[str, list[str]] = {}

    def add(self, shown: RemoteObject) -> bool:
        """Note an object as it is now; whether it was not known before."""
        new = shown.id not in self.ids
        self.ids.add(shown.id)
        same = self._found.setdefault(_text({path: lookup(shown.document, path) for path in self.paths}), [])
        if self.paths and shown.id not in same:
            same.append(shown.id)
        return new

    def find(self, equal: Values) -> Sequence[str]:
        """Ids of objects that have shown these values, the newest first; they may have changed since."""
        return self._found.get(_text(equal), ())


def _text(values: Values) -> str:
    return json.dumps(values, sort_keys=True)


class Scanned:
    """A remote system that matches by a complete scan where there is one, and by calls where there is none.

    What was made since the scan is read at the newest end of the list, once in ``fresh`` seconds at most, however many
    rows ask. What the scan says is tried on the object itself before it is believed. So an object that is made within
    those seconds, or gets the matching value after it was read, is to a row what one is that comes a moment after the
    row's own: its event finds the row linked, and becomes a dead letter that names both.
    """

    def __init__(self, remote: RemoteSystem, *, fresh: float = FRESH_SECONDS) -> None:
        self._remote, self._fresh = remote, fresh
        self._scans: dict[str, Scan] = {}
        self._read_at: dict[str, float] = {}
        self._lock = asyncio.Lock()

    def asked(self) -> None:
        """A request is made; also one that then fails."""

    @property
    def key_memory_seconds(self) -> float:
        return self._remote.key_memory_seconds

    def use(self, object: str, scan: Scan) -> None:
        """From now on, match by this scan, which is complete."""
        self._scans[object] = scan
        self._read_at[object] = -self._fresh

    async def call(self, attempt: Attempt) -> Answer:
        self.asked()
        return await self._remote.call(attempt)

    async def fetch(self, object: str, remote_id: str) -> Answer:
        self.asked()
        return await self._remote.fetch(object, remote_id)

    async def fate(self, attempt: Attempt) -> RemoteObject | None:
        self.asked()
        return await self._remote.fate(attempt)

    async def page(self, object: str, cursor: str | None, limit: int) -> RemotePage:
        self.asked()
        return await self._remote.page(object, cursor, limit)

    async def match(self, object: str, equal: Values, *, limit: int = 2) -> Sequence[RemoteObject]:
        scan = self._scans.get(object)
        if scan is None or scan.paths != equal.keys():
            self.asked()
            return await self._remote.match(object, equal, limit=limit)
        await self._look_at_newest(object, scan)
        found: list[RemoteObject] = []
        for remote_id in scan.find(equal):
            shown = (await self.fetch(object, remote_id)).object
            if not shown.gone and all(lookup(shown.document, path) == value for path, value in equal.items()):
                found.append(shown)
            if len(found) == limit:
                break
        return found

    async def _look_at_newest(self, object: str, scan: Scan) -> None:
        """Read the list from its newest end until it shows what is known."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            began = loop.time()
            if began - self._read_at[object] < self._fresh:
                return
            cursor: str | None = None
            while True:
                page = await self.page(object, cursor, OBJECTS_PER_PAGE)
                new = [scan.add(answer.object) for answer in page.answers]
                cursor = page.cursor
                if cursor is None or (new and not new[-1]):
                    break
            self._read_at[object] = began


async def read_page(remote: RemoteSystem, object: str, cursor: str | None, waits: Iterable[float]) -> RemotePage:
    """One page of the list; tried again after each of ``waits`` (seconds) where the remote is in trouble."""
    for wait in waits:
        try:
            return await remote.page(object, cursor, OBJECTS_PER_PAGE)
        except Transient as error:
            await asyncio.sleep(max(wait, error.retry_after or 0.0))
    return await remote.page(object, cursor, OBJECTS_PER_PAGE)
