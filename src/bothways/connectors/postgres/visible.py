"""Whether everybody can read what a transaction wrote.

The server writes a commit into the WAL, and logical decoding may send it on, before the transaction counts as ended
for others: with synchronous replication as long as the standby takes, without it as long as the committing process
waits for a processor. Whoever reads the row at once then finds it as it was. (``RecordTransactionCommit`` comes before
``ProcArrayEndTransaction`` in the server's src/backend/access/transam/xact.c.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

SHORTEST_SECONDS, LONGEST_SECONDS = 0.000_2, 0.02
"""Between two looks."""
_WRAP = 1 << 32
"""The stream's transaction ids have 32 bits, and begin anew after that."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions have ended, as ``pg_current_snapshot()`` tells it, in ids of 32 bits."""

    below: int
    """Every older transaction has ended."""
    next: int
    """This one and every younger one has not."""
    running: frozenset[int] = frozenset()
    """Of those between, these have not."""

    def shows(self, xid: int) -> bool:
        """Whether that transaction has ended."""
        return _is_older(xid, self.below) or (_is_older(xid, self.next) and xid not in self.running)


class Visible:
    """Waits for transactions to be readable by everybody, on a connection of its own. Belongs to one thread."""

    def __init__(self, url: str) -> None:
        self._connection: psycopg.Connection[Any] = psycopg.connect(
            url, autocommit=True, connect_timeout=10, fallback_application_name="bothways capture"
        )
        self._connection.execute("SET idle_session_timeout = 0")
        self._snapshot = self._look()

    def wait(self, xids: Sequence[int], go_on: Callable[[], bool]) -> bool:
        """Return when all of these have ended for everybody; False as soon as ``go_on``, asked at times, says no."""
        pause = SHORTEST_SECONDS
        while not all(map(self._snapshot.shows, xids)):
            self._snapshot = self._look()
            if all(map(self._snapshot.shows, xids)):
                return True
            if not go_on():
                return False
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_SECONDS)
        return True

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _look(self) -> Snapshot:
        row = self._connection.execute("SELECT pg_current_snapshot()::text").fetchone()
        assert row is not None
        below, after, running = row[0].split(":")
        return Snapshot(
            int(below) % _WRAP,
            int(after) % _WRAP,
            frozenset(int(xid) % _WRAP for xid in running.split(",") if xid),
        )


def _is_older(xid: int, other: int) -> bool:
    """As the server compares them: half of all ids are older than any id, half are younger."""
    return 0 < (other - xid) % _WRAP < _WRAP // 2
