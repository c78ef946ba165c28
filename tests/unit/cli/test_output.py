"""What tables look like on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.text import Text

from bothways.cli import output

KEY = '{"id":"0f3a5c1e-8d7b-4c57-9c1f-000000000001"}'
REASON = "there is no such thing, " * 10


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def printed(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, reason: str = REASON) -> str:
    """A table on this stream, without its colours; it has 60 columns if it is a terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout", stream)
    output.table(["id", "record", "why"], [(1234567890, KEY, reason)], empty="", whole=["id", "record"])
    return Text.from_ansi(stream.getvalue()).plain


def test_nothing_is_cut_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids and keys stay in one piece on a terminal that is too narrow; the reason is broken into lines."""
    shown = printed(monkeypatch, Terminal())
    assert "…" not in shown
    assert f"1234567890   {KEY}" in shown
    assert shown.count("thing") == 10
    assert max(map(len, shown.splitlines())) < 90


def test_nothing_is_cut_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is one line, however long."""
    reason = "x" * (output.WIDE + 1)
    assert f"1234567890   {KEY}   {reason}" in printed(monkeypatch, io.StringIO(), reason)
