"""Who edited on top of which value: what must be left at the end of a history.

Every edit makes a value that nobody made before, so that the value itself says where it comes from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bothways.model.values import Value

DATABASE = "database"
REFUSED_THERE, REFUSED_HERE = "bad-", "ugly-"
"""How values begin that the remote, or the database, does not take."""
TOLERANCE_SECONDS = 2.0
"""Clocks of whole seconds, and what lies between a commit and its capture."""


def norm(column: str, value: Value) -> str | None:
    """A value as both sides would show it: remotes lower-case and trim ``c``, the database trims ``d``."""
    if value is None:
        return None
    text = str(value)
    return text.strip().lower() if column == "c" else text.strip() if column == "d" else text


@dataclass(slots=True)
class Known:
    """When a value was made, and until when the other side may not have known of it."""

    made: float
    until: float


class Lineage:
    """The edits of one history."""

    def __init__(self, wins: Mapping[str, str], latest: Collection[str] = ()) -> None:
        self.wins, self.latest = wins, latest
        """Column → the remote that wins it, where one does; columns that the later edit wins."""
        self.parent: dict[str, str] = {}
        self.maker: dict[str, str] = {}
        self.known: dict[str, Known] = {}
        self.last: dict[tuple[str, str, str | None], str] = {}

    def edit(self, side: str, column: str, old: Value, new: Value, at: float) -> None:
        """Somebody at ``side`` saw ``old`` and wrote ``new``."""
        before, after = norm(column, old), norm(column, new)
        assert after is not None, "people here write values"
        if before is not None:
            self.parent[after] = before
        self.maker[after] = side
        self.known[after] = Known(at, at)
        self.last[side, column, self._root(after)] = after

    def shown(self, column: str, value: Value, at: float) -> None:
        """The remote had this value when somebody looked, or from when we wrote it on."""
        known = self.known.get(norm(column, value) or "")
        if known is not None and known.until == known.made:
            known.until = max(at, known.made)

    def _root(self, value: str | None) -> str | None:
        while value is not None and value in self.parent:
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

    def _refused(self, value: str | None) -> bool:
        while value is not None:
            if value.startswith((REFUSED_HERE, REFUSED_THERE)):
                return True
            value = self.parent.get(value)
        return False

    def wrong(self, column: str, value: Value, sides: tuple[str, ...]) -> str | None:
        """Why this value must not be what is left, or None."""
        shown = norm(column, value)
        root = self._root(shown)
        heads = {side: self.last[side, column, root] for side in sides if (side, column, root) in self.last}
        if any(self._refused(head) for head in heads.values()):
            return None
        top = {
            side: head
            for side, head in heads.items()
            if not any(other != head and self._descends(other, head) for other in heads.values())
        }
        if not top:
            return None
        wanted = self._latest(top) if column in self.latest else self._winners(column, top)
        if shown in wanted:
            return None
        kind = "policy" if shown in heads.values() else "stale"
        times = {value: self.known[value] for value in heads.values()} if column in self.latest else ""
        return f"is {shown!r}, should be one of {sorted(wanted)} of {heads} ({kind}) {times}"

    def _winners(self, column: str, top: dict[str, str]) -> set[str]:
        winner = self.wins.get(column)
        if winner and winner not in top:
            beaten = {
                side
                for side, head in top.items()
                if any(self._won_by(winner, o, head) and not self._won_by(winner, head, o) for o in top.values())
            }
            top = {side: head for side, head in top.items() if side not in beaten} or top
        return {top[winner]} if winner in top else {top[DATABASE]} if DATABASE in top else set(top.values())

    def _latest(self, top: dict[str, str]) -> set[str]:
        """All that no other edit is certainly later than."""
        earliest_end = max(self.known[head].made for head in top.values()) - TOLERANCE_SECONDS
        return {head for head in top.values() if self.known[head].until >= earliest_end}
