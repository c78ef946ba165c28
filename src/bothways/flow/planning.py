"""What one record would cost: the same decisions as in earnest, on pictures only, counted in a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bothways.flow.planned import Limits, PairPlan, count
from bothways.model.link import Call, Link
from bothways.model.record import RecordId, RemoteObject, Row
from bothways.model.remote import Answer
from bothways.sync.held import Trigger
from bothways.sync.linking import new_row
from bothways.sync.mapping import EntityMapping, Ways
from bothways.sync.merge import Merge, observe, refuse_inward, settle
from bothways.sync.outward import Make, Nothing, decide, make_create

_MISSING = object()


class Foreseen:
    """Counts for one entity at one system."""

    def __init__(self, mapping: EntityMapping, plan: PairPlan, limits: Limits) -> None:
        self.mapping, self.plan, self.limits = mapping, plan, limits

    def merge(self, link: Link, shown: Row, row: Row, answer: Answer, *, found_in: str) -> None:
        """A row and its object meet: what goes into the row, then what goes out. ``shown``: in the sync's form."""
        record, remote_id = link.record, answer.object.id
        merge = self._observed(link, shown, answer, found_in)
        for conflict in merge.conflicts:
            example = f"{record} {conflict.column}: {conflict.row_value!r} here, {conflict.remote_value!r} there"
            count(self.plan.conflicts, conflict.winner, example)
        patch = dict(merge.row_patch)
        refused = self.limits.of_row(patch)
        self._refuse(record, refused)
        self._refuse(record, {bad.column: bad.reason for bad in merge.bad})
        for column in refused:
            del patch[column]
        names_id = self.mapping.id_column is not None and row.values.get(self.mapping.id_column) != remote_id
        if patch or names_id:
            self.plan.rows_updated.add(f"{record}: {', '.join(patch) or self.mapping.id_column}")
        after = replace(shown, values={**shown.values, **patch})
        settled = settle(replace(merge, row_patch=patch), after)
        for column in refused:
            settled = refuse_inward(settled, link, column, merge.link.base.remote.get(column))
        if row.takes_part:
            self._update(settled, after)

    def _observed(self, link: Link, shown: Row, answer: Answer, found_in: str) -> Merge:
        seen = self.mapping.read(answer.object.document)
        if all(link.base.remote.get(column, _MISSING) == value for column, value in seen.items()):
            return Merge(link)
        return observe(self.mapping, link, shown, seen, answer.window, found_in=found_in)

    def insert(self, shown: RemoteObject) -> bool:
        """An object becomes a row; False where the database would refuse that as a whole."""
        new = new_row(self.mapping, shown.document, shown.id)
        too_long = self.limits.of_row(new.values)
        values = {column: value for column, value in new.values.items() if column not in too_long}
        missing = self.limits.missing(values)
        self._refuse(shown.id, {**new.refused, **too_long, **missing})
        if missing:
            count(self.plan.left_out, "the database would refuse the new row", shown.id)
        else:
            self.plan.rows_created.add(shown.id)
            self._defaults(shown)
        return not missing

    def _defaults(self, shown: RemoteObject) -> None:
        """What the database fills in where the object has no say goes out again. What it is, only the row will tell."""
        filled = self.limits.filled()
        columns = [each.column for each in self.mapping.fields if not each.comes_in and each.column in filled]
        if columns:
            self.plan.objects_updated.add(f"{shown.id}: {', '.join(columns)}, by the columns' defaults")

    def create(self, link: Link, shown: Row) -> bool:
        """A row becomes an object; False where nothing that it has would be taken."""
        made = make_create(self.mapping, link, shown)
        if not self._makes(link.record, made):
            count(self.plan.left_out, "nothing that the row has would be taken", str(link.record))
            return False
        self.plan.objects_created.add(str(link.record))
        if self.mapping.id_column is not None or any(each.ways is Ways.IN for each in self.mapping.fields):
            self.plan.rows_updated.add(
                f"{link.record}: gets the new id" if self.mapping.id_column else f"{link.record}"
            )
        return True

    def _update(self, link: Link, shown: Row) -> None:
        decision = decide(self.mapping, link, shown, Trigger())
        if isinstance(decision, Make | Nothing) and self._makes(link.record, decision):
            assert isinstance(decision, Make), "only a call makes something"
            self.plan.objects_updated.add(f"{link.record}: {', '.join(decision.columns)}")

    def _makes(self, record: RecordId, decision: Make | Nothing) -> bool:
        """Whether a call comes of it, once what would be refused is left out."""
        self._refuse(record, {bad.column: bad.reason for bad in decision.bad})
        if isinstance(decision, Nothing):
            return False
        refused = self.limits.of_call(decision.call, decision.patch)
        self._refuse(record, refused)
        self.plan.calls += len(refused)
        left = [column for column in decision.columns if self.mapping.by_column[column].path not in refused]
        return bool(left) or (decision.call is Call.CREATE and not refused)

    def _refuse(self, record: object, reasons: Mapping[str, str]) -> None:
        for name, reason in reasons.items():
            self.plan.refused.add(f"{record} {name}: {reason}")
            self.plan.dead_letters += 1
