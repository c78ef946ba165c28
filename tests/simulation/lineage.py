"""Who edited on top of which value: what must be left at the end of a history.

Every edit makes a value that nobody made before, so that the value itself says where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping

from bothways.model.values import Value

DATABASE = "database"


def norm(column: str, value: Value) -> str | None:
    """A value as both sides would show it: remotes lower-case and trim ``c``, the database trims ``d``."""
    if value is None:
        return None
    text = str(value)
    return text.strip().lower() if column == "c" else text.strip() if column == "d" else text


class Lineage:
    """The edits of one history."""

    def __init__(self, wins: Mapping[str, str]) -> None:
        self.wins = wins
        """Column → the remote that wins it, where one does."""
        self.parent: dict[str, str | None] = {}
        self.maker: dict[str, str] = {}
        self.last: dict[tuple[str, str, str | None], str] = {}

    def edit(self, side: str, column: str, old: Value, new: Value) -> None:
        """Somebody at ``side`` saw ``old`` and wrote ``new``."""
        before, after = norm(column, old), norm(column, new)
        assert after is not None, "people here write values"
        self.parent[after] = before
        self.maker[after] = side
        self.last[side, column, self._root(after)] = after

    def _root(self, value: str | None) -> str | None:
        while value in self.parent:
            value = self.parent[value]
        return value

    def _descends(self, value: str | None, ancestor: str) -> bool:
        while value is not None:
            if value == ancestor:
                return True
            value = self.parent.get(value)
        return False

    def _won_by(self, system: str, value: str, other: str) -> bool:
        """Whether an edit of the winning system lies below ``value`` that ``other`` was not made on top of."""
        at: str | None = value
        while at is not None:
            if self.maker.get(at) == system and not self._descends(other, at):
                return True
            at = self.parent.get(at)
        return False

    def wrong(self, column: str, value: Value, sides: tuple[str, ...]) -> str | None:
        """Why this value must not be what is left, or None."""
        shown = norm(column, value)
        root = self._root(shown)
        heads = {side: self.last[side, column, root] for side in sides if (side, column, root) in self.last}
        top = {
            side: head
            for side, head in heads.items()
            if not any(other != head and self._descends(other, head) for other in heads.values())
        }
        if not top:
            return None
        winner = self.wins.get(column)
        if winner and winner not in top:
            beaten = {
                side
                for side, head in top.items()
                if any(self._won_by(winner, o, head) and not self._won_by(winner, head, o) for o in top.values())
            }
            top = {side: head for side, head in top.items() if side not in beaten} or top
        wanted = {top[winner]} if winner in top else {top[DATABASE]} if DATABASE in top else set(top.values())
        if shown in wanted:
            return None
        kind = "policy" if shown in heads.values() else "stale"
        return f"is {shown!r}, should be one of {sorted(wanted)} of {heads} ({kind})"
