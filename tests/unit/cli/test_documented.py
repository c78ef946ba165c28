"""docs/cli.md says every command, every role and every exit code."""

from __future__ import annotations

import re
from pathlib import Path

from bothways.cli import exits
from bothways.cli.main import app
from bothways.cli.up import ROLES

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")


def test_every_command_is_there() -> None:
    """And none that is not."""
    commands = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    listed = {words.split()[0] for words in re.findall(r"^\| `([a-z][^`]*)` \|", TEXT, re.MULTILINE)}
    assert listed == commands


def test_every_role_and_exit_code_is_there() -> None:
    """By its name, or its number."""
    for role in ROLES:
        assert f"`{role}`" in TEXT
    codes = {value for name, value in vars(exits).items() if name.isupper()}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)} == codes
