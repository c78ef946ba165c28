"""Getting at the WAL: the replication connection, what the server says of itself and of the slot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from bothways.connectors.postgres.stream import Stream, stream_over
from bothways.connectors.postgres.values import SESSION
from bothways.model.errors import SourceLost

CONNECT_SECONDS = 10
_STATUS_SECONDS = 10.0

_SESSION = {
    **SESSION,
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "client_min_messages": "warning",
}


@dataclass(frozen=True, slots=True)
class Server:
    """What the server says of itself."""

    source: str
    """As in ``Position``: system identifier and timeline."""
    past: Mapping[str, int]
    """The timelines that this one came from, each as a ``source``, and where it was left: a standby was promoted, or a
    backup restored, there. What lies before that place is this server's past, too."""
    status_seconds: float
    """So often it wants to hear of us, at least."""
    lease_seconds: float
    """Whoever it has not heard of for so long has lost the slot."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The state of the replication slot."""

    active_pid: int | None
    """The server's process for whoever reads it."""
    confirmed_lsn: int


class Replication:
    """A connection in replication mode. Errors of the driver (``psycopg.Error``, ``OSError``) mean: connect again."""

    def __init__(self, url: str, slot: str, publication: str) -> None:
        self._slot = slot
        self._publication = publication
        # The socket is read directly, so nobody may encrypt on it unseen.
        gssencmode = conninfo_to_dict(url).get("gssencmode", "disable")
        self._connection: psycopg.Connection[Any] = psycopg.connect(
            url,
            autocommit=True,
            prepare_threshold=None,
            replication="database",
            gssencmode=gssencmode,
            connect_timeout=CONNECT_SECONDS,
            client_encoding="UTF8",
            fallback_application_name="bothways capture",
        )

    def server(self) -> Server:
        """Who is at the other end. Sets the session up, too."""
        for name, value in _SESSION.items():
            self._ask(sql.SQL("SET {} = {}").format(sql.Identifier(name), value))
        system, timeline, *_ = self._ask(sql.SQL("IDENTIFY_SYSTEM"))[0]
        timeout_ms = int(self._ask(sql.SQL("SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'"))[0][0])
        return Server(
            source=f"{system}-{timeline}",
            past=self._past(system, int(timeline)),
            status_seconds=min(_STATUS_SECONDS, timeout_ms / 3000) if timeout_ms else _STATUS_SECONDS,
            lease_seconds=timeout_ms / 1000 if timeout_ms else math.inf,
        )

    def _past(self, system: str, timeline: int) -> Mapping[str, int]:
        if timeline == 1:
            return {}
        try:
            ((_, history),) = self._ask(sql.SQL("TIMELINE_HISTORY {}").format(sql.Literal(timeline)))
        except psycopg.errors.UndefinedFile:
            return {}  # somebody has tidied up: what came before cannot be told
        return past_of(system, history)

    def slot(self) -> Slot:
        """The slot as it is now. Raises ``SourceLost`` where it cannot be read on from."""
        found = self._ask(sql.SQL(_SLOT).format(self._slot))
        if not found:
            raise SourceLost(
                f"the replication slot {self._slot} does not exist: changes since it was dropped cannot be seen",
                hint="run `bothways setup`, which makes it, then `bothways backfill`, which finds what was missed",
            )
        plugin, here, active, status, reason, confirmed = found[0]
        if plugin != "pgoutput" or here != "t":
            raise SourceLost(
                f"the replication slot {self._slot} is of another database or another plugin",
                hint="name another slot in the settings, and run `bothways setup`",
            )
        if status == "lost" or reason is not None:
            raise SourceLost(
                f"the replication slot {self._slot} is lost ({reason or 'its WAL was removed'}): the server has thrown"
                " away what was not read yet",
                hint=f"SELECT pg_drop_replication_slot('{self._slot}'); then `bothways setup` and `bothways backfill`",
            )
        return Slot(None if active is None else int(active), lsn(confirmed))

    def start(self) -> Stream:
        """Stream from where the slot was acknowledged. Raises ``psycopg.errors.ObjectInUse`` while others read it."""
        stream = stream_over(self._connection)
        command = sql.SQL(
            "START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {}, messages 'true')"
        ).format(sql.Identifier(self._slot), sql.Literal(_listed(self._publication)))
        try:
            stream.start(command.as_string(self._connection))
        except BaseException:
            stream.close()
            raise
        return stream

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _ask(self, query: sql.Composable) -> list[tuple[Any, ...]]:
        # A replication connection takes the simple protocol only: no parameters.
        result = self._connection.pgconn.exec_(query.as_bytes(self._connection))
        if result.status not in (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK):
            raise psycopg.errors.error_from_result(result)
        return [
            tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
            for row in range(result.ntuples)
        ]


def lsn(text: str | None) -> int:
    """``16/B374D848`` as a number; 0 for none."""
    if not text:
        return 0
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def past_of(system: str, history: str) -> Mapping[str, int]:
    """``Server.past`` from a timeline's history file: timeline, place and reason on each line, with tabs between."""
    lines = [line.split("\t") for line in history.splitlines() if line[:1].isdigit()]
    return {f"{system}-{timeline}": lsn(place) for timeline, place, *_ in lines}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _listed(publication: str) -> str:
    """A name as pgoutput's option wants it: an identifier in a list."""
    return '"' + publication.replace('"', '""') + '"'


# Columns that only some versions have are asked for by way of JSON.
_SLOT = """
SELECT s.plugin, s.database = current_database(), s.active_pid, j->>'wal_status', j->>'invalidation_reason',
       s.confirmed_flush_lsn
FROM pg_replication_slots s, LATERAL to_jsonb(s) j WHERE s.slot_name = {}
"""
