"""Reading the outbox: a connection that belongs to one thread."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from psycopg.rows import args_row

from bothways.connectors.postgres.outbox import ANY_SINCE, ASLEEP, CHANNEL, LOCK, SINCE, Tick
from bothways.connectors.postgres.outbox_frames import OutboxRow, OutboxShape, OutboxTable
from bothways.model.errors import SourceLost

CONNECT_SECONDS = 10
_SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "enable_seqscan": "off",  # the statistics of a table that is full and empty by turns say nothing
    "synchronous_commit": "on",  # a tick that was handed out must not be forgotten
}


class OutboxReader:
    """One connection. Errors of the driver mean: connect again. Raises ``SourceLost`` where there is no outbox."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.notified = False
        """Somebody committed a change; whoever has looked takes it back."""
        self.connection: psycopg.Connection[Any] = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            client_encoding="UTF8",
            fallback_application_name="bothways capture",
        )
        self.connection.add_notify_handler(self._note)
        for name, value in _SETTINGS.items():
            self.connection.execute(f"SET {name} = '{value}'".encode())

    def source(self) -> str:
        """Who is at the other end, as in ``Position``. Listens from now on."""
        self.connection.execute(f"LISTEN {CHANNEL}".encode())
        row = self._row(_SOURCE)
        assert row is not None
        return f"{row[0]}-{int(row[1], 16)}"

    def past(self, last: Tick) -> Mapping[str, int]:
        """As ``Server.past``. A standby has the ticks, too: what was handed out is known by the last one."""
        system, timeline = self.source().split("-")
        return {f"{system}-{before}": last.position + 1 for before in range(1, int(timeline))}

    def lock(self) -> int | None:
        """Be the one who reads the outbox: None, or the process of the server that is; 0 where it has just ended."""
        row = self._row("SELECT pg_try_advisory_lock(%(lock)s)", {"lock": LOCK})
        if row is not None and row[0]:
            return None
        holder = self._row(_HOLDER, {"lock": LOCK})
        return 0 if holder is None else int(holder[0])

    def sleep(self) -> frozenset[int] | None:
        """From now on triggers notify. Gives the transactions that may have looked before: they may not.

        None where a trigger looks at this very moment: nobody is waited for here, try again.
        """
        row = self._row("SELECT pg_try_advisory_lock(%(lock)s)", {"lock": ASLEEP})
        return self.running() if row is not None and row[0] else None

    def awake(self) -> None:
        """They need not any more."""
        self._row("SELECT pg_advisory_unlock(%(lock)s)", {"lock": ASLEEP})

    def running(self) -> frozenset[int]:
        """The transactions that have written something and not ended. A snapshot does not name the newest of them."""
        return frozenset(xid for (xid,) in self.connection.execute(_RUNNING))

    def ticks(self) -> list[Tick]:
        """Those that are kept: the last one that is done, and what was begun after it."""
        with _there():
            found = self.connection.execute("SELECT position, snapshot::text FROM bothways.tick ORDER BY position")
            ticks = [Tick.parse(*row) for row in found.fetchall()]
            if not ticks:
                raise SourceLost("the outbox has no beginning", hint=_MISSED)
            if self._row("SELECT FROM bothways.handover") is not None:
                raise SourceLost(
                    "the way of capture was changed, and that was not finished", hint="run `bothways setup`"
                )
        return ticks

    def tick(self, last: Tick) -> Tick | None:
        """The next one, where there is anything in it. It is safe on disk on return."""
        with _there():
            row = self._row(_TICK, {**last.rows(), "last": last.position})
        return None if row is None else Tick.parse(*row)

    def rows(self, since: Tick, until: Tick) -> Generator[OutboxRow, None, None]:
        """The changes of ``until``, transaction by transaction: those that waited for each other in that order.

        They come as they are read; the connection is busy until the end.
        """
        with self.connection.cursor(row_factory=args_row(OutboxRow)) as cursor, _there():
            yield from cursor.stream(_ROWS.encode(), since.rows(until))

    def tables(self) -> Mapping[int, OutboxTable]:
        """The tables that have our triggers, by object id."""
        rows = self.connection.execute(_TABLES).fetchall()
        return {oid: OutboxTable(schema, name, identity, frozenset(of)) for oid, schema, name, identity, of in rows}

    def shapes(self) -> Mapping[int, OutboxShape]:
        """All that are known."""
        with _there():
            rows = self.connection.execute("SELECT id, description FROM bothways.shape").fetchall()
        return {number: OutboxShape.parse(description) for number, description in rows}

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()

    def _row(self, statement: str, values: Mapping[str, object] | None = None) -> tuple[Any, ...] | None:
        found = self.connection.execute(statement.encode(), values).fetchone()
        return cast("tuple[Any, ...] | None", found)

    def _note(self, _: psycopg.Notify) -> None:
        self.notified = True


@contextmanager
def _there() -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise SourceLost("there is no outbox that triggers could fill", hint=_MISSED) from error


_MISSED = "run `bothways setup`, which makes it, then `bothways backfill`, which finds what was missed"

_SOURCE = """
SELECT (SELECT system_identifier::text FROM pg_control_system()),
       left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
"""

_HOLDER = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint << 32 | objid::bigint = %(lock)s
"""

_RUNNING = """
SELECT transactionid::text::bigint FROM pg_locks
WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
"""

_TICK = f"""
INSERT INTO bothways.tick (position, snapshot)
SELECT greatest(pg_current_wal_insert_lsn() - '0/0'::pg_lsn, %(last)s + 1)::bigint, pg_current_snapshot()
WHERE {ANY_SINCE} RETURNING position, snapshot::text
"""

_ROWS = f"""
SELECT id, xid::text::bigint, (extract(epoch FROM max(at) OVER transaction) * 1000000)::bigint,
       operation::text, relation::bigint, shape, old, new
FROM {SINCE} since WINDOW transaction AS (PARTITION BY xid) ORDER BY max(id) OVER transaction, id
"""  # noqa: S608 - of our own parts
# Whoever waited for another transaction's row wrote its last change after that one's last.

_TABLES = """
SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relreplident::text,
       coalesce((SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a
                 ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
                 WHERE i.indrelid = c.oid AND i.indisreplident), '{}')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid IN (SELECT t.tgrelid FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
                WHERE p.pronamespace = to_regnamespace('bothways') AND t.tgparentid = 0)
"""
