"""The three-way merge of one record: what a picture of the remote means for the row.

A side has changed a field when the field differs from what that side showed when both agreed (its own base). Remote
systems and databases normalise what they store, so each side is compared with itself only.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from bothways.model.link import Base, Held, Link, Window
from bothways.model.outcome import Conflict
from bothways.model.record import Row
from bothways.model.values import Value, Values
from bothways.sync.mapping import DATABASE, LATEST, REVIEW, EntityMapping, FieldMap


@dataclass(frozen=True, slots=True)
class BadValue:
    """A value of one side that has no counterpart on the other."""

    column: str
    value: Value
    reason: str


@dataclass(frozen=True, slots=True)
class Merge:
    """What is to be done with the row, and the link that goes with it once that is done (see ``settle``)."""

    link: Link
    row_patch: Values = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()
    bad: tuple[BadValue, ...] = ()
    agreed: bool = True
    """The patch is what both sides have now. False: it goes to the row only, and from there out again."""


_MISSING = object()


def observe(
    mapping: EntityMapping,
    link: Link,
    row: Row | None,
    seen: Values,
    window: Window,
    *,
    found_in: str,
    patched: Collection[str] = (),
) -> Merge:
    """Merge a picture of the remote (column → its value there), read within ``window``, into the row.

    ``patched`` columns are known already (an answer's own patch). Without a row nothing is learned, and the window
    stays: the row's key may be changing, and what was shown must be looked at again. A column that has no base yet is
    being linked: an empty side then gives way to the other.
    """
    if row is None:
        return Merge(replace(link, revision=link.revision + 1))
    work = _Work(mapping, _looked(link, window), found_in, window.high)
    for each in mapping.fields:
        if each.column not in patched:
            work.look(each, row.values.get(each.column), seen.get(each.column))
    return work.done()


def settle(merge: Merge, row: Row) -> Link:
    """The link after the patch was written: the row's base is what the database shows for it now."""
    if not merge.agreed:
        return merge.link
    shown = {column: row.values.get(column) for column in merge.row_patch}
    return replace(merge.link, base=replace(merge.link.base, row={**merge.link.base.row, **shown}))


def refuse_inward(link: Link, before: Link, column: str, seen: Value) -> Link:
    """The database does not take this value: the column stays as it was, and this value is not tried again."""
    row, remote = dict(link.base.row), dict(link.base.remote)
    for now, then in ((row, before.base.row), (remote, before.base.remote)):
        now.pop(column, None)
        if column in then:
            now[column] = then[column]
    return replace(link, base=Base(row=row, remote=remote), refused_inward={**link.refused_inward, column: seen})


def _looked(link: Link, window: Window) -> Link:
    known = link.window
    merged = Window(max(known.low, window.low), max(known.high, window.high)) if known else window
    return replace(link, window=merged, revision=link.revision + 1)


class _Work:
    """One merge under way: the parts of the link that change, as plain dicts."""

    def __init__(self, mapping: EntityMapping, link: Link, found_in: str, time: int) -> None:
        self.mapping, self.link, self.found_in, self.time = mapping, link, found_in, time
        self.base_row, self.base_remote = dict(link.base.row), dict(link.base.remote)
        self.times, self.held, self.ours = dict(link.remote_times), dict(link.held), dict(link.ours)
        self.patch: dict[str, Value] = {}
        self.conflicts: list[Conflict] = []
        self.bad: list[BadValue] = []

    def done(self) -> Merge:
        link = replace(
            self.link,
            base=Base(row=self.base_row, remote=self.base_remote),
            remote_times=self.times,
            held=self.held,
            ours=self.ours,
        )
        return Merge(link, self.patch, tuple(self.conflicts), tuple(self.bad))

    def look(self, each: FieldMap, row: Value, remote: Value) -> None:
        """One field: who changed it, and what follows."""
        column = each.column
        base_remote = self.base_remote.get(column, _MISSING)
        linking = base_remote is _MISSING and column not in self.base_row
        if not each.comes_in:
            self.base_remote[column] = remote
            if linking and row is None:
                self.base_row[column] = row  # nothing of ours to send: what the remote has may stay
            return
        if remote == base_remote or self.link.refused_inward.get(column, _MISSING) == remote:
            return
        if not linking:
            self.ours.pop(column, None)
            self.times[column] = self.time
        try:
            taken = each.transform.inward(remote)
        except ValueError as error:
            self.bad.append(BadValue(column, remote, str(error)))
            return
        if says_the_same(each, row, remote, taken):
            self._agree(column, row, remote)
        elif linking:
            self._link(each, row, remote, taken)
        elif each.goes_out and row != self.base_row.get(column, _MISSING):
            self._settle(each, row, remote, taken)
        else:
            self._take(column, remote, taken)

    def _link(self, each: FieldMap, row: Value, remote: Value, taken: Value) -> None:
        if remote is None or remote == "":
            self.base_remote[each.column] = remote
            if not each.goes_out:
                self.base_row[each.column] = row  # else the row's value goes out
        elif row is None or row == "" or not each.goes_out:
            self._take(each.column, remote, taken)
        else:
            self._settle(each, row, remote, taken, linking=True)

    def _settle(self, each: FieldMap, row: Value, remote: Value, taken: Value, *, linking: bool = False) -> None:
        """Both sides have a value of their own. Ours goes out by itself: it differs from the row's base."""
        known = self.held.get(each.column)
        # Of what was held for a person, under other settings, nobody knows any more when the row was edited.
        undated = linking or (known is not None and known.review)
        wins = DATABASE if each.wins == LATEST and undated else each.wins
        if wins == LATEST and self.link.refused.get(each.column, _MISSING) == row:
            wins = self.mapping.system
        if wins == LATEST:
            self.held[each.column] = Held(remote, self.time)
            return
        if wins == REVIEW:
            self.held[each.column] = Held(remote, self.time, review=True)
            if known is not None and known.review and known.value == remote:
                return
        self._conflict(each.column, row, remote, wins)
        if wins == self.mapping.system:
            self._take(each.column, remote, taken)
        elif wins != REVIEW:
            self.base_remote[each.column] = remote
            self.held.pop(each.column, None)

    def _take(self, column: str, remote: Value, taken: Value) -> None:
        self.patch[column] = taken
        self._agree(column, taken, remote)

    def _agree(self, column: str, row: Value, remote: Value) -> None:
        self.base_row[column], self.base_remote[column] = row, remote
        self.held.pop(column, None)

    def _conflict(self, column: str, row: Value, remote: Value, winner: str) -> None:
        link = self.link
        self.conflicts.append(Conflict(link.record, link.system, column, row, remote, winner, self.found_in))


def says_the_same(each: FieldMap, row: Value, remote: Value, taken: Value) -> bool:
    """Whether both sides say the same, each in its own form."""
    if row == taken:
        return True
    try:
        return each.transform.outward(row) == remote
    except ValueError:
        return False
