"""Tombstones hold no values: what older programs left in them goes."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "bothways"
VALUES = ("base", "remote_times", "ours", "refused", "refused_inward", "held")
BATCH = 1000


def upgrade() -> None:
    """A document without a field has the field's default."""
    key: list[sa.ColumnClause[str]] = [sa.column(name) for name in ("system", "entity", "key")]
    link = sa.table("link", *key, sa.column("deleted"), sa.column("document"), schema=SCHEMA)
    same = sa.and_(*(column == sa.bindparam(f"p_{column.name}") for column in key))
    change = sa.update(link).where(same).values(document=sa.bindparam("p_document"))
    connection = op.get_bind()
    tombstones = sa.select(*key, link.c.document).where(link.c.deleted).execution_options(yield_per=BATCH)
    for rows in connection.execute(tombstones).mappings().partitions():
        changes = [{f"p_{name}": row[name] for name in ("system", "entity", "key")} for row in rows]
        for row, values in zip(rows, changes, strict=True):
            document = json.loads(row["document"])
            kept = document if document.get("attempt") else {n: v for n, v in document.items() if n not in VALUES}
            values["p_document"] = json.dumps(kept, separators=(",", ":"))
        connection.execute(change, changes)
