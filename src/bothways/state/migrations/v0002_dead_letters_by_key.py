"""Dead letters are found by their key, and programs from before there were migrations are kept out."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "bothways"


def upgrade() -> None:
    """The last programs of that time made the index already; each refuses a step that it does not know."""
    op.create_index(
        "dead_letter_key", "dead_letter", ["key"], schema=SCHEMA, postgresql_using="hash", if_not_exists=True
    )
    step = sa.table("step", sa.column("number"), sa.column("name"), sa.column("at"), schema=SCHEMA)
    op.execute(sa.insert(step).values(number=2, name="migrations", at=time.time()))
