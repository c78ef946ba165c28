"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SCHEMA = "bothways"


def upgrade() -> None:
    """Make what programs from before there were migrations made by themselves."""
    # Such a program made this one first, and may have been killed right after.
    op.create_table(
        "step",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        schema=SCHEMA,
        if_not_exists=True,
    )
    _what_was_done()
    _what_people_see()
    _what_waits()


def _what_was_done() -> None:
    op.create_table(
        "link",
        sa.Column("system", sa.String(63), primary_key=True),
        sa.Column("entity", sa.String(63), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("remote_id", sa.Text),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("due", sa.Double),
        sa.Column("document", sa.Text, nullable=False),
        sa.UniqueConstraint("token", name="link_token", deferrable=True, initially="DEFERRED"),
        sa.UniqueConstraint(
            "system", "entity", "remote_id", name="link_remote_id", deferrable=True, initially="DEFERRED"
        ),
        schema=SCHEMA,
    )
    op.create_index("link_due", "link", ["due"], schema=SCHEMA, postgresql_where=sa.text("due IS NOT NULL"))
    op.create_table(
        "attempt",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("system", sa.String(63), nullable=False),
        sa.Column("entity", sa.String(63), nullable=False),
        sa.Column("record_key", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("attempt_at", "attempt", ["at"], schema=SCHEMA)
    op.create_table(
        "seen",
        sa.Column("system", sa.String(63), primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("seen_at", "seen", ["at"], schema=SCHEMA)
    op.create_table(
        "retired",
        sa.Column("system", sa.String(63), primary_key=True),
        sa.Column("entity", sa.String(63), primary_key=True),
        sa.Column("remote_id", sa.Text, primary_key=True),
        schema=SCHEMA,
    )
    op.create_table(
        "request",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("body", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("token", sa.Text),
        sa.Column("at", sa.Double, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("request_at", "request", ["at"], schema=SCHEMA)


def _what_people_see() -> None:
    op.create_table(
        "conflict",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("entity", sa.String(63), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("system", sa.String(63), nullable=False),
        sa.Column("column", sa.Text, nullable=False),
        sa.Column("row_value", sa.Text, nullable=False),
        sa.Column("remote_value", sa.Text, nullable=False),
        sa.Column("winner", sa.Text, nullable=False),
        sa.Column("found_in", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("conflict_at", "conflict", ["at"], schema=SCHEMA)
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("system", sa.String(63), nullable=False),
        sa.Column("entity", sa.String(63), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("field", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("published", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("replay", sa.Boolean, nullable=False, server_default=sa.false()),
        schema=SCHEMA,
    )
    op.create_index("dead_letter_at", "dead_letter", ["at"], schema=SCHEMA)
    unpublished, replay = sa.text("published IS false"), sa.text("replay")
    op.create_index("dead_letter_unpublished", "dead_letter", ["id"], schema=SCHEMA, postgresql_where=unpublished)
    op.create_index("dead_letter_replay", "dead_letter", ["id"], schema=SCHEMA, postgresql_where=replay)


def _what_waits() -> None:
    op.create_table(
        "parked",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("system", sa.String(63), nullable=False),
        sa.Column("entity", sa.String(63), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("waits_on", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("due", sa.Double),
        schema=SCHEMA,
    )
    op.create_index("parked_waits_on", "parked", ["waits_on"], schema=SCHEMA)
    op.create_index("parked_due", "parked", ["due"], schema=SCHEMA, postgresql_where=sa.text("due IS NOT NULL"))
    op.create_table(
        "checkpoint",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "pace",
        sa.Column("system", sa.String(63), primary_key=True),
        sa.Column("next", sa.Double, nullable=False),
        sa.Column("rate", sa.Double, nullable=False),
        sa.Column("changed", sa.Double, nullable=False),
        schema=SCHEMA,
    )
