"""What must hold at the end of a history, when everything has come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bothways.model.change import Operation
from bothways.model.link import Call, Link
from bothways.model.outcome import Conflict, DeadLetter, Direction
from bothways.model.record import RecordId
from bothways.model.values import Value
from bothways.sync.mapping import Deletes, EntityMapping, lookup
from tests.simulation.lineage import DATABASE, REFUSED_HERE, REFUSED_THERE, norm
from tests.simulation.remote import MemoryService, Thing
from tests.simulation.schema import LEFT, MARK_PATH, Kind, mark_column

if TYPE_CHECKING:
    from tests.simulation.world import World

START_SECONDS = 1000.0
SKEW_SECONDS = 10.0

Rows = dict[RecordId, dict[str, Value]]


class Oracle:
    """Reads the world's database and remotes directly."""

    def __init__(self, world: World) -> None:
        self.world, self.plan, self.database = world, world.plan, world.database
        self.letters = [note for note in self.database.notes if isinstance(note, DeadLetter)]

    def objects(self) -> str | None:
        """The first thing that is wrong, or None."""
        for letter in self.letters:
            if not self._is_expected(letter):
                return f"dead letter: {letter}"
        for process in self.world.processes:
            if ended := process.ended():
                return ended
        for kind in self.world.kinds.values():
            rows = {RecordId(e, k): v for (e, k), v in self.database.select("row").items() if e == kind.entity}
            for name, service in self.world.services.items():
                wrong = self._pairs(kind, name, service, rows)
                if wrong:
                    return f"{name}: {wrong}"
            wrong = self._lineage(kind, rows) or self._twice(kind, rows)
            if wrong:
                return wrong
        return self._too_many_deletions()

    def _too_many_deletions(self) -> str | None:
        """In the first minute, before anybody has allowed them. Clocks of workers may be some seconds off."""
        if self.plan.deletions is None:
            return None
        until = min(self.world.operator.allowed_at, START_SECONDS + 60) - SKEW_SECONDS
        for name in self.plan.remotes:
            attempts = list(self.database.select("attempt").values())
            out = [a for a in attempts if (a.system, a.call) == (name, Call.DELETE) and a.at < until]
            rows = [
                c for c in self.database.wal if c.operation is Operation.DELETE and c.origin == name and c.at < until
            ]
            if max(len(out), len(rows)) > self.plan.deletions:
                return f"{name}: {len(out)} objects and {len(rows)} rows were deleted unasked"
        return None

    def conflicts(self) -> list[Conflict]:
        """Those that were noted."""
        return [note for note in self.database.notes if isinstance(note, Conflict)]

    def _is_expected(self, letter: DeadLetter) -> bool:
        if self.plan.refusing and (REFUSED_HERE in letter.reason or REFUSED_THERE in letter.reason):
            return True
        return self.plan.matching and "which is linked to" in letter.reason

    def _lineage(self, kind: Kind, rows: Rows) -> str | None:
        for record, row in rows.items():
            links = [self.database.get(("link", name, record.entity, record.key)) for name in self.plan.remotes]
            if any(link is None or link.deleted for link in links):
                continue  # it stands alone: what is edited there never comes here
            for column in kind.edited:
                wrong = self.world.lineage.wrong(column, row[column], (DATABASE, *self.plan.remotes))
                if wrong:
                    return f"{record.key}.{column}: {wrong}"
        return None

    def _twice(self, kind: Kind, rows: Rows) -> str | None:
        seen: dict[Value, RecordId] = {}
        for record, row in rows.items():
            mail = row.get("mail")
            if mail is not None and mail in seen:
                return f"{record} and {seen[mail]} are one: {mail}"
            seen[mail] = record
        return None

    # --------------------------------------------------------------------------------------------------------- pairs

    def _pairs(self, kind: Kind, name: str, service: MemoryService, rows: Rows) -> str | None:
        mapping = kind.mappings[name]
        live = {thing.id: thing for thing in service.live(kind.entity)}
        linked: dict[str, RecordId] = {}
        for record, row in rows.items():
            link: Link | None = self.database.get(("link", name, record.entity, record.key))
            wrong = self._pair(mapping, record, row, link, live, linked)
            if wrong:
                return wrong
        for thing in live.values():
            if thing.id not in linked and not self._may_be_alone(mapping, thing):
                return f"{thing.id} has no row"
        return None

    def _pair(
        self,
        mapping: EntityMapping,
        record: RecordId,
        row: dict[str, Value],
        link: Link | None,
        live: dict[str, Thing],
        linked: dict[str, RecordId],
    ) -> str | None:
        if link is None or link.remote_id is None:
            told = any(x.direction is Direction.OUT and x.key == record.key for x in self.letters)
            alone = self.plan.matching or (self.plan.refusing and not self.plan.named)
            return None if told and alone else f"row {record} never got there"
        if link.remote_id not in live:
            if not link.deleted or not link.row_kept or mapping.deletes_in is Deletes.PROPAGATE:
                return f"row {record} is alive, {link.remote_id} is deleted"
            if mapping.mark_in and row[mapping.mark_in.name] != LEFT:
                return f"row {record} does not say that {link.remote_id} is gone"
            return None
        if link.remote_id in linked:
            return f"two rows, one object: {record}, {linked[link.remote_id]}, {link.remote_id}"
        linked[link.remote_id] = record
        if link.token != self.world.pairs[link.remote_id]:
            return f"{link.remote_id} came back as {record}: the record that it was is deleted"
        if link.deleted:
            return f"row {record} is cut off from {link.remote_id}, which is alive"
        differs = self._differs(mapping, link, row, live[link.remote_id])
        return f"{record} and {link.remote_id} differ: {differs}" if differs else None

    def _may_be_alone(self, mapping: EntityMapping, thing: Thing) -> bool:
        if any(letter.direction is Direction.IN and letter.key == thing.id for letter in self.letters):
            return self.plan.matching
        if mapping.deletes_out is Deletes.MARK:
            return lookup(thing.document, MARK_PATH) == LEFT
        return mapping.deletes_out is Deletes.IGNORE and thing.id in self.world.pairs

    def _differs(self, mapping: EntityMapping, link: Link, row: dict[str, Value], thing: Thing) -> str | None:
        if mapping.id_column and row[mapping.id_column] != thing.id:
            return f"{mapping.id_column} is {row[mapping.id_column]!r}"
        if mapping.mark_in and row[mark_column(mapping.system)] == LEFT:
            return "the row says that the object is gone"
        for each in mapping.fields:
            here, there = row[each.column], lookup(thing.document, each.path)
            if each.ref is not None:
                same = self._points_to(mapping.system, each.ref, here) == there
            else:
                same = norm(each.column, here) == norm(each.column, there)
            if not same and not self._is_refused(mapping.system, link, each.column, here, there):
                return f"{each.column}: {here!r} here, {there!r} there"
        return None

    def _points_to(self, system: str, entity: str, key: Value) -> str | None:
        link: Link | None = self.database.get(("link", system, entity, f'{{"id":{key}}}'))
        return link.remote_id if link is not None and key is not None else None

    def _is_refused(self, system: str, link: Link, column: str, here: Value, there: Value) -> bool:
        """A side does not take the other's value, and a dead letter says so."""
        if not self.plan.refusing:
            return False
        letters = [letter for letter in self.letters if letter.system == system]
        if link.refused.get(column, object()) == here:
            named = str(here).startswith(REFUSED_THERE)
            unnamed = any(x.direction is Direction.OUT and x.field is None for x in letters)
            return (named or not self.plan.named) and (unnamed or any(x.direction is Direction.OUT for x in letters))
        refused = str(there).startswith(REFUSED_HERE) and link.refused_inward.get(column) == there
        return refused and any(x.direction is Direction.IN and x.field == column for x in letters)
