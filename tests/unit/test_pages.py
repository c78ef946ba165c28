"""The pages of the docs: what they tell people to run and to read is there."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import re
from pathlib import Path

import pytest

from bothways.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(text: str) -> list[str]:
    """What stands after ``bothways`` where it is code, or a line to be typed."""
    quoted = re.findall(r"`(?:\.venv/bin/)?bothways ([a-z][^`\n]*)`", text)
    typed = re.findall(r"^\s*(?:docker compose exec bothways |[\w./]*bin/)bothways ([a-z][^\n#|]*)", text, re.MULTILINE)
    return [*quoted, *typed]


@functools.cache
def help_of(names: tuple[str, ...]) -> str:
    """What the command says of itself; an unknown one fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([*names, "--help"])
    assert code == 0, f"bothways {' '.join(names)}: {said.getvalue()}"
    return said.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_is_one(page: Path) -> None:
    """With options that it has."""
    for text in commands(page.read_text(encoding="utf-8")):
        names = list(itertools.takewhile(re.compile("[a-z]+").fullmatch, text.split()))
        groups = ("records", "deadletters", "conflicts", "sandbox")
        told = help_of(tuple(names[: 2 if names[0] in groups else 1]))
        for option in re.findall(r"--[a-z-]+", text):
            assert option in told + help_of(()), f"bothways {text}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file, and to a heading of it where it names one; so do the files of ours that are named as code."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        name, _, heading = target.partition("#")
        other = page.parent / name if name else page
        assert other.is_file(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^a-z0-9 _-]", "", each.lower()).replace(" ", "-") for each in headings}, target
    for name in re.findall(r"`((?:docs|containers|tests|src|scripts|bench)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), f"{page.name}: {name}"
