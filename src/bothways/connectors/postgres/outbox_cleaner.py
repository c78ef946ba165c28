"""Taking out of the outbox what is done."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import psycopg
import structlog

from bothways.connectors.postgres.outbox import Tick

CLEAN_SECONDS = 1.0
"""So often, where something was done."""
BATCH_ROWS = 5_000
"""One statement takes so many: no lock, transaction or WAL record of it lasts."""

_logger = structlog.get_logger(__name__)


class OutboxCleaner:
    """Lives on the event loop; ``done`` may be called by any thread.

    What it does may be lost in a crash: the rows of a tick that is done are never handed out again, however many of
    them are still there.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._done: Tick | None = None
        self._cleaned: Tick | None = None
        self._stopping = asyncio.Event()

    def done(self, tick: Tick) -> None:
        """The log has everything up to this tick."""
        self._done = tick

    def stop(self) -> None:
        """``run`` comes to its end."""
        self._stopping.set()

    async def run(self) -> None:
        """Until told to stop: then once more. A connection that is lost is made again."""
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), CLEAN_SECONDS)
            try:
                await self._clean()
            except (psycopg.Error, OSError) as error:  # next time works, or capture beside it says so
                _logger.info("capture.not_cleaned", error=str(error).strip())

    async def _clean(self) -> None:
        tick = self._done
        if tick is None or tick == self._cleaned:
            return
        async with await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=10, fallback_application_name="bothways capture"
        ) as connection:
            await connection.execute("SET synchronous_commit = off")
            await connection.execute("SET enable_seqscan = off")
            await self._delete(connection, tick)
            begin = self._cleaned.position if self._cleaned else 0
            await connection.execute(
                "DELETE FROM bothways.tick WHERE position >= %s AND position < %s", [begin, tick.position]
            )
        self._cleaned = tick

    async def _delete(self, connection: psycopg.AsyncConnection[Any], tick: Tick) -> None:
        """All that the tick shows, in batches, each from where the last one ended: what is dead is not met again."""
        cleaned = self._cleaned
        for xid in sorted(cleaned.running - tick.running) if cleaned else []:
            await connection.execute("DELETE FROM bothways.outbox WHERE xid = %s::text::xid8", [xid])
        last: tuple[int, int] = (cleaned.next if cleaned else 0), -1
        while True:
            values = {
                "xid": str(last[0]),
                "id": last[1],
                "before": str(tick.next),
                "running": "{" + ",".join(map(str, tick.running)) + "}",
                "rows": BATCH_ROWS,
            }
            cursor = await connection.execute(_DELETE, values)
            row = await cursor.fetchone()
            if row is None or row[0] is None:
                return
            last = row


_DELETE = """
WITH batch AS (
  SELECT xid, id FROM bothways.outbox
  WHERE (xid, id) > (%(xid)s::xid8, %(id)s) AND xid < %(before)s::xid8 AND xid <> ALL(%(running)s::xid8[])
  ORDER BY xid, id LIMIT %(rows)s
), gone AS (
  DELETE FROM bothways.outbox o USING batch b WHERE o.xid = b.xid AND o.id = b.id
)
SELECT xid::text::bigint, id FROM batch ORDER BY xid DESC, id DESC LIMIT 1
"""
