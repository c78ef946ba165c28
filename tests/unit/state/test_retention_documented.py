"""docs/retention.md names every table that the state has."""

from __future__ import annotations

import re
from pathlib import Path

from bothways.state.revisions import version
from bothways.state.tables import metadata

TEXT = (Path(__file__).parents[3] / "docs" / "retention.md").read_text(encoding="utf-8")


def test_every_table_of_the_state_is_named() -> None:
    """Whoever adds one says what it holds, and how long."""
    section = TEXT.partition("## On the log")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named == {table.name for table in metadata.tables.values()} | {version.name}
