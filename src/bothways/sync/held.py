"""Values of the remote that were held, since the field's policy could not settle them at once, and how that ends.

Policies change between two starts, and rows are edited. What is held under a policy that the field no longer has is
settled by the one that it has now: as long as a value is held, its column is not sent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bothways.model.link import Base, Held, Link
from bothways.model.outcome import Conflict
from bothways.model.record import Row
from bothways.model.values import Value, Values
from bothways.sync.mapping import DATABASE, LATEST, REVIEW, EntityMapping, FieldMap
from bothways.sync.merge import Merge, says_the_same

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Trigger:
    """What the log said of the record since it was last looked at."""

    deleted: bool = False
    """Its deletion is on the log: an absent row means that it is gone, not that its key is changing."""
    changes: tuple[tuple[float, Values], ...] = ()
    """Commit time (unix seconds) and row after it, of each change, oldest first."""
    deleted_at: float | None = None
    """When it was deleted, by the database's clock, where that is known."""

    def committed(self, column: str, value: Value) -> float | None:
        """When the column got this value, where these changes tell."""
        for when, after in self.changes:
            if column in after and after[column] == value:
                return when
        return None


def take_back(mapping: EntityMapping, link: Link, row: Row, trigger: Trigger) -> Merge | None:
    """Settle what was held, as far as that can be done now; None where nothing can.

    For ``latest`` the row's change is captured now, so its commit time is known; a change later than the remote's lets
    the held value go. What is held for a person stays, unless the row was made to say the same.
    """
    work = _Settling(mapping, link, row, trigger)
    for column, held in link.held.items():
        work.settle(column, held)
    return work.done()


class _Settling:
    """The parts of the link that change, as plain dicts."""

    def __init__(self, mapping: EntityMapping, link: Link, row: Row, trigger: Trigger) -> None:
        self.mapping, self.link, self.row, self.trigger = mapping, link, row, trigger
        self.base_row, self.base_remote = dict(link.base.row), dict(link.base.remote)
        self.held, self.patch = dict(link.held), dict[str, Value]()
        self.conflicts: list[Conflict] = []

    def done(self) -> Merge | None:
        if self.held == self.link.held:
            return None
        base = Base(self.base_row, self.base_remote)
        settled = replace(self.link, base=base, held=self.held, revision=self.link.revision + 1)
        return Merge(settled, self.patch, tuple(self.conflicts))

    def settle(self, column: str, held: Held) -> None:
        each, value = self.mapping.by_column.get(column), self.row.values.get(column)
        if each is None:  # it is no longer in the settings
            del self.held[column]
            return
        winner = self._winner(each, held)
        if winner is None:
            return
        if winner == REVIEW:
            self.held[column] = replace(held, review=True)
        else:
            del self.held[column]
            self.base_remote[column] = held.value
        if held.review and self._agree(each, held):
            self.base_row[column] = value
            return
        self.conflicts.append(Conflict(self.link.record, self.link.system, column, value, held.value, winner, "event"))
        if winner == self.link.system:
            self.patch[column] = self.base_row[column] = each.transform.inward(held.value)

    def _winner(self, each: FieldMap, held: Held) -> str | None:
        """Whose value it is to be, or ``review``; None while that cannot be told."""
        if held.review:
            if each.wins == REVIEW:
                return DATABASE if self._agree(each, held) else None
            # When the row was edited is not known any more, for ``latest``: as where both sides are linked.
            return self.link.system if each.wins == self.link.system else DATABASE
        if each.wins != LATEST:
            return each.wins
        value = self.row.values.get(each.column)
        committed = self.trigger.committed(each.column, value)
        if committed is None and value != self.base_row.get(each.column, _MISSING):
            return None
        return DATABASE if committed is not None and committed >= held.time else self.link.system

    def _agree(self, each: FieldMap, held: Held) -> bool:
        try:
            taken = each.transform.inward(held.value)
        except ValueError:
            return False
        return says_the_same(each, self.row.values.get(each.column), held.value, taken)
