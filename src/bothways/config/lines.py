"""On which line of a TOML file a setting stands: ``tomllib`` does not say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

Path = tuple[str, ...]

_KEY = re.compile(r"""[ \t]*(?:"(?P<basic>(?:[^"\\]|\\.)*)"|'(?P<literal>[^']*)'|(?P<bare>[A-Za-z0-9_-]+))[ \t]*""")
_BLANK = re.compile(r"(?:\s|#[^\n]*)+")
_VALUE_PART = re.compile(
    r"""
      \"\"\"(?:\\.|[^\\])*?\"\"\"\"{0,2}    # multi-line strings may end in up to two quotes of their own
    | '''.*?''''{0,2}
    | "(?:\\.|[^"\\])*"
    | '[^']*'
    | \#[^\n]*
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<end>\n)
    | [^"'\#\[\]{}\n]+
    """,
    re.VERBOSE | re.DOTALL,
)


class Lines:
    """Where each key of a TOML text stands. The text has to be valid: read it with ``tomllib`` first."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        for path, line in _statements(text):
            for length in range(1, len(path) + 1):
                self._lines.setdefault(path[:length], line)

    def of(self, path: Path) -> int | None:
        """The line of the key, or of the nearest table or value that holds it; None for what is not in the file."""
        for length in range(len(path), 0, -1):
            if line := self._lines.get(path[:length]):
                return line
        return None

    def known(self) -> Mapping[Path, int]:
        """Every key path that has a line of its own."""
        return self._lines


def _statements(text: str) -> Iterator[tuple[Path, int]]:
    """Full key path and line of each header and each key."""
    table: Path = ()
    arrays: dict[Path, int] = {}
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        line = text.count("\n", 0, at) + 1
        if text[at] == "[":
            is_array = text.startswith("[[", at)
            table, at = _keys(text, at + (2 if is_array else 1))
            if is_array:
                arrays[table] = arrays.get(table, -1) + 1
                table = (*table, str(arrays[table]))
            at = _end_of_line(text, at)
            yield table, line
        else:
            key, at = _keys(text, at)
            yield table + key, line
            at = _after_value(text, at + 1)


def _keys(text: str, at: int) -> tuple[Path, int]:
    """The dotted key that begins here, and where it ends."""
    names: list[str] = []
    while match := _KEY.match(text, at):
        names.append(next(name for name in match.groups() if name is not None))
        at = match.end()
        if not text.startswith(".", at):
            break
        at += 1
    return tuple(names), at


def _after_value(text: str, at: int) -> int:
    """Where the value that begins here has ended: the first line end outside of strings and brackets."""
    depth = 0
    while at < len(text) and (part := _VALUE_PART.match(text, at)):
        at = part.end()
        depth += bool(part["open"]) - bool(part["close"])
        if part["end"] and depth == 0:
            break
    return at


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
