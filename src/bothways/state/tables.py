"""The state's tables, in a schema of their own. Times are unix seconds; documents are JSON as text.

JSON stands in text columns because databases that understand it also change it: number formats, the order of keys.
These are the tables as the program uses them; what makes them, and changes them, stands in ``migrations``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

SCHEMA = "bothways"

metadata = MetaData(schema=SCHEMA)

step = Table(
    "step",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("at", Double, nullable=False),
)
"""What programs from before there were migrations look at. A second row makes them refuse what they do not know."""

link = Table(
    "link",
    metadata,
    Column("system", String(63), primary_key=True),
    Column("entity", String(63), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("remote_id", Text),
    Column("deleted", Boolean, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("due", Double),
    Column("document", Text, nullable=False),
    # Checked at the commit, so that a link can move to another key in either order of saving and removing.
    UniqueConstraint("token", name="link_token", deferrable=True, initially="DEFERRED"),
    UniqueConstraint("system", "entity", "remote_id", name="link_remote_id", deferrable=True, initially="DEFERRED"),
)
Index("link_due", link.c.due, postgresql_where=link.c.due.is_not(None))

attempt = Table(
    "attempt",
    metadata,
    Column("key", Text, primary_key=True),
    Column("system", String(63), nullable=False),
    Column("entity", String(63), nullable=False),
    Column("record_key", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("document", Text, nullable=False),
)
Index("attempt_at", attempt.c.at)

seen = Table(
    "seen",
    metadata,
    Column("system", String(63), primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("at", Double, nullable=False),
)
Index("seen_at", seen.c.at)

retired = Table(
    "retired",
    metadata,
    Column("system", String(63), primary_key=True),
    Column("entity", String(63), primary_key=True),
    Column("remote_id", Text, primary_key=True),
)

conflict = Table(
    "conflict",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", Double, nullable=False),
    Column("entity", String(63), nullable=False),
    Column("key", Text, nullable=False),
    Column("system", String(63), nullable=False),
    Column("column", Text, nullable=False),
    Column("row_value", Text, nullable=False),
    Column("remote_value", Text, nullable=False),
    Column("winner", Text, nullable=False),
    Column("found_in", Text, nullable=False),
)
Index("conflict_at", conflict.c.at)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", Double, nullable=False),
    Column("direction", String(8), nullable=False),
    Column("system", String(63), nullable=False),
    Column("entity", String(63), nullable=False),
    Column("key", Text, nullable=False),
    Column("field", Text),
    Column("reason", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("published", Boolean, nullable=False, server_default=false()),
    Column("replay", Boolean, nullable=False, server_default=false()),
)
Index("dead_letter_at", dead_letter.c.at)
Index("dead_letter_key", dead_letter.c.key, postgresql_using="hash")  # a key may be longer than a tree takes
Index("dead_letter_unpublished", dead_letter.c.id, postgresql_where=dead_letter.c.published.is_(False))
Index("dead_letter_replay", dead_letter.c.id, postgresql_where=dead_letter.c.replay)

parked = Table(
    "parked",
    metadata,
    Column("id", Text, primary_key=True),
    Column("direction", String(8), nullable=False),
    Column("system", String(63), nullable=False),
    Column("entity", String(63), nullable=False),
    Column("key", Text, nullable=False),
    Column("waits_on", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("due", Double),
)
Index("parked_waits_on", parked.c.waits_on)
Index("parked_due", parked.c.due, postgresql_where=parked.c.due.is_not(None))

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

request = Table(
    "request",
    metadata,
    Column("key", Text, primary_key=True),
    Column("body", String(64), nullable=False),
    Column("answer", Text),
    Column("token", Text),
    Column("at", Double, nullable=False),
)
"""Idempotency keys of the HTTP API: a hash of what was asked, and what was answered."""
Index("request_at", request.c.at)

pace = Table(
    "pace",
    metadata,
    Column("system", String(63), primary_key=True),
    Column("next", Double, nullable=False),
    Column("rate", Double, nullable=False),
    Column("changed", Double, nullable=False),
)
"""Per system: when the next call may be made, and the rate that it allowed when that was last changed."""
