"""People who edit both sides, one statement or one click at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bothways.model.change import Operation
from bothways.model.record import RecordId
from bothways.model.values import Value
from bothways.sync.mapping import lookup
from tests.simulation.database import Committed
from tests.simulation.lineage import DATABASE, REFUSED_HERE, REFUSED_THERE
from tests.simulation.remote import Thing
from tests.simulation.schema import CUSTOMER, INVOICE, PATHS, Kind, normalise

if TYPE_CHECKING:
    from tests.simulation.world import World

STILL_KNOWN_SECONDS = 5.0
"""A row that came back under its key within this time is not moved: whether its deletion or its move is meant, the
two messages do not tell if both are delivered at once."""
SAME_MAIL_SECONDS = 3.0


def record_of(entity: str, key: int) -> RecordId:
    """The record with this primary key."""
    return RecordId(entity, json.dumps({"id": key}, separators=(",", ":")))


def key_of(record: RecordId) -> int:
    """The inverse."""
    key: int = json.loads(record.key)["id"]
    return key


class People:
    """Everybody but us."""

    def __init__(self, world: World) -> None:
        self.world, self.chance, self.plan = world, world.chance, world.plan
        self.database, self.lineage = world.database, world.lineage
        self.values = 0
        self.gone_keys: list[int] = []
        self.came_back: dict[RecordId, float] = {}
        self.mails: list[tuple[float, str]] = []
        self.touched: dict[str, RecordId | str] = {}

    def now(self) -> float:
        """Virtual seconds."""
        return self.world.loop.time()

    def value(self, column: str, side: str) -> str:
        """A value that nobody wrote before, sometimes one that a side will normalise, or refuse."""
        self.values += 1
        value = f"{column}{self.values}"
        draw = self.chance.random()
        if column in "cd" and draw < 0.5:
            return value.upper() + " " if column == "c" else value + " "
        if self.plan.refusing and column in "ab" and draw < 0.15:
            return (REFUSED_THERE if side == DATABASE else REFUSED_HERE) + value
        return value

    def _kind(self) -> Kind:
        kinds = self.world.kinds
        return kinds[INVOICE] if INVOICE in kinds and self.chance.random() < 0.5 else kinds[CUSTOMER]

    def _stays(self, kind: Kind) -> bool:
        """Customers that invoices point to are not deleted."""
        return kind.entity == CUSTOMER and self.plan.references

    def _mail(self, taken: set[Value]) -> str:
        """One that the other side may have just now, or a new one."""
        recent = [m for at, m in self.mails if at > self.now() - SAME_MAIL_SECONDS and m not in taken]
        mail = self.chance.choice(recent) if recent and self.chance.random() < 0.7 else f"m{self.values}@x"
        self.mails.append((self.now(), mail))
        return mail

    # ------------------------------------------------------------------------------------------------- the database

    def rows(self, entity: str) -> dict[RecordId, dict[str, Value]]:
        """The rows that nobody holds a lock on."""
        found = {RecordId(e, key): values for (e, key), values in self.database.select("row").items() if e == entity}
        return {r: v for r, v in found.items() if ("row", r.entity, r.key) not in self.database.locks}

    def _commit(self, *changes: Committed) -> None:
        for change in changes:
            name = ("row", change.record.entity, change.record.key)
            if change.after is None:
                self.database.kinds["row"].pop(name[1:], None)
            else:
                self.database.put(name, dict(change.after))
        at = self.now()
        self.database.commit([_at(change, at) for change in changes])

    def edit_database(self) -> None:
        """Somebody edits a row: one statement, one commit."""
        kind, draw = self._kind(), self.chance.random()
        rows = self.rows(kind.entity)
        if draw < 0.25 or not rows:
            self._insert_row(kind)
            return
        record = self.chance.choice(list(rows))
        last = self.touched.get(DATABASE + kind.entity)
        if isinstance(last, RecordId) and last in rows and self.chance.random() < self.plan.hot:
            record = last
        self.touched[DATABASE + kind.entity] = record
        if draw < 0.86 or (draw >= 0.90 and self._stays(kind)):
            self._update_row(kind, record, rows[record])
        elif draw < 0.90:
            self.world.trace("db-replace", record.key)
            self.came_back[record] = self.now()
            before = rows[record]
            self._commit(
                Committed(record, Operation.DELETE, before, None), Committed(record, Operation.CREATE, None, before)
            )
        elif draw < 0.90 + self.plan.moves and self._settled(record):
            self._move_row(record, rows[record])
        else:
            self.world.trace("db-delete", record.key)
            if kind.entity == CUSTOMER:
                self.gone_keys.append(key_of(record))
            self._commit(Committed(record, Operation.DELETE, rows[record], None))

    def _settled(self, record: RecordId) -> bool:
        return self.came_back.get(record, 0.0) < self.now() - STILL_KNOWN_SECONDS

    def _update_row(self, kind: Kind, record: RecordId, before: dict[str, Value]) -> None:
        if kind.entity == INVOICE and self.chance.random() < 0.4:
            after = {**before, "customer_id": self._any_customer()}
        else:
            column = self.chance.choice(kind.edited)
            after = {**before, column: self.value(column, DATABASE)}
            self.lineage.edit(DATABASE, column, before[column], after[column], self.now())
        kind.table.derive(after)
        self.world.trace("db-update", record, {c: v for c, v in after.items() if v != before[c]})
        self._commit(Committed(record, Operation.UPDATE, before, after))

    def _any_customer(self) -> int | None:
        there = self.database.select("row")
        keys: list[int] = [json.loads(key)["id"] for entity, key in there if entity == CUSTOMER]
        return self.chance.choice(keys) if keys and self.chance.random() < 0.9 else None

    def _move_row(self, record: RecordId, before: dict[str, Value]) -> None:
        key = self.database.next_key
        self.database.next_key += 1
        new = record_of(record.entity, key)
        self.world.trace("db-move", record.key, new.key)
        self._commit(
            Committed(record, Operation.DELETE, before, None, moved_to=new.key),
            Committed(new, Operation.CREATE, None, {**before, "id": key}, moved_from=record.key),
        )

    def _insert_row(self, kind: Kind) -> None:
        key = self.database.next_key
        free = [k for k in self.gone_keys if kind.entity == CUSTOMER and self._is_free(record_of(CUSTOMER, k))]
        if free and self.chance.random() < 0.5:
            key = self.chance.choice(free)
        else:
            self.database.next_key += 1
        record = record_of(kind.entity, key)
        self.came_back[record] = self.now()
        row: dict[str, Value] = dict.fromkeys(kind.table.columns)
        row |= {"id": key, **{c: self.value(c, DATABASE) for c in kind.edited}}
        if kind.entity == INVOICE:
            row["customer_id"] = self._any_customer()
        if self.plan.matching:
            there = {values["mail"] for (e, _), values in self.database.select("row").items() if e == CUSTOMER}
            row["mail"] = self._mail(there)
            if ("unique", CUSTOMER, "mail", row["mail"]) in self.database.locks:
                return
        kind.table.derive(row)
        self.world.trace("db-insert", record, row)
        self._commit(Committed(record, Operation.CREATE, None, row))

    def _is_free(self, record: RecordId) -> bool:
        name = ("row", record.entity, record.key)
        return self.database.get(name) is None and name not in self.database.locks

    # --------------------------------------------------------------------------------------------------- the remotes

    def edit_remote(self, name: str) -> None:
        """Somebody edits an object by hand."""
        kind, draw = self._kind(), self.chance.random()
        service = self.world.services[name]
        live = service.live(kind.entity)
        if draw < 0.15 or not live:
            self._create_thing(name, kind)
            return
        thing = self.chance.choice(live)
        last = self.touched.get(name + kind.entity)
        if self.chance.random() < self.plan.hot:
            thing = next((each for each in live if each.id == last), thing)
        self.touched[name + kind.entity] = thing.id
        if draw < 0.93 or self._stays(kind):
            self._update_thing(name, kind, thing)
        else:
            self.world.trace(name, "deleted by hand", thing.id)
            service.remove(thing, None)

    def _create_thing(self, name: str, kind: Kind) -> None:
        service = self.world.services[name]
        patch: dict[str, Value] = {PATHS[c]: self.value(c, name) for c in kind.edited}
        if kind.entity == INVOICE:
            patch[PATHS["customer_id"]] = self._any_thing(name)
        if self.plan.matching:
            patch[PATHS["mail"]] = self._mail({thing.document.get("mail") for thing in service.live(CUSTOMER)})
        thing = service.make(kind.entity, patch, None, None)
        self.touched[name + kind.entity] = thing.id
        self.world.trace(name, "created by hand", thing.id, thing.document)

    def _any_thing(self, name: str) -> str | None:
        ids = [thing.id for thing in self.world.services[name].live(CUSTOMER)]
        return self.chance.choice(ids) if ids and self.chance.random() < 0.9 else None

    def _update_thing(self, name: str, kind: Kind, thing: Thing) -> None:
        if kind.entity == INVOICE and self.chance.random() < 0.4:
            patch: dict[str, Value] = {PATHS["customer_id"]: self._any_thing(name)}
        else:
            column = self.chance.choice(kind.edited)
            path = PATHS[column]
            patch = {path: normalise(path, self.value(column, name))}
            self.lineage.edit(name, column, lookup(thing.document, path), patch[path], self.now())
        self.world.trace(name, "edited by hand", thing.id, patch)
        self.world.services[name].change(thing, patch, None)

    # ----------------------------------------------------------------------------------------------------- afterwards

    def put_right(self) -> bool:
        """Write good values over all that a side refuses; False where there was nothing to do."""
        found = False
        for record, row in self.rows(CUSTOMER).items():
            for column in ("a", "b"):
                if str(row[column]).startswith(REFUSED_THERE):
                    found = True
                    self.values += 1
                    self._correct_row(record, column, f"{column}{self.values}")
        for name, service in self.world.services.items():
            for thing in service.live(CUSTOMER):
                for path in (PATHS["a"], PATHS["b"]):
                    if str(lookup(thing.document, path)).startswith(REFUSED_HERE):
                        found = True
                        self.values += 1
                        self.world.trace(name, "put right", thing.id, path)
                        service.change(thing, {path: f"{path[-1]}{self.values}"}, None)
        return found

    def _correct_row(self, record: RecordId, column: str, value: str) -> None:
        before: dict[str, Value] = self.database.get(("row", record.entity, record.key))
        after = {**before, column: value}
        self.world.kinds[CUSTOMER].table.derive(after)
        self.world.trace("db-put-right", record.key, column, value)
        self._commit(Committed(record, Operation.UPDATE, before, after))


def _at(change: Committed, at: float) -> Committed:
    return Committed(
        change.record,
        change.operation,
        change.before,
        change.after,
        at=at,
        moved_from=change.moved_from,
        moved_to=change.moved_to,
    )
