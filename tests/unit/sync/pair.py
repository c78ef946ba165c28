"""One row and one object, kept in step by the pure heart alone: what a transaction and a call do is done at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from bothways.model.link import Attempt, Base, Call, Link, Window
from bothways.model.outcome import Conflict
from bothways.model.record import RecordId, RemoteObject, Row
from bothways.model.remote import Answer
from bothways.model.values import Value
from bothways.sync.held import Trigger
from bothways.sync.mapping import DATABASE, EntityMapping, FieldMap, Ways
from bothways.sync.merge import Merge, observe, settle
from bothways.sync.outward import Find, Look, Make, Nothing, TakeBack, decide, make_create, needs_nothing, take_answer

RECORD = RecordId("customer", '{"id":1}')
SYSTEM = "stripe"
PATHS = {"a": "a", "b": "nested.b", "c": "c", "d": "metadata.d"}
COLUMNS = tuple(PATHS)
MOST_CALLS = 12
"""More calls than this for one edit each of four fields are an echo."""

values = st.one_of(st.none(), st.sampled_from(["", "x", "X ", " y", "Y", "z", "12"]), st.integers(0, 3), st.booleans())
"""Few values, so that both sides often have the same, or what is the same once it is normalised."""
policies = st.sampled_from([DATABASE, SYSTEM])


def mapping_of(wins: dict[str, str] | None = None, ways: dict[str, Ways] | None = None) -> EntityMapping:
    """Four columns, two of them nested."""
    wins, ways = wins or {}, ways or {}
    fields = [FieldMap(c, PATHS[c], ways.get(c, Ways.BOTH), wins.get(c, DATABASE)) for c in COLUMNS]
    return EntityMapping("customer", SYSTEM, "customer", tuple(fields))


mappings = st.builds(mapping_of, st.fixed_dictionaries(dict.fromkeys(COLUMNS, policies)))
contents = st.fixed_dictionaries(dict.fromkeys(COLUMNS, values))


def document_of(shown: dict[str, Value]) -> dict[str, Value]:
    """The object that shows these values, by column."""
    return {
        "a": shown["a"],
        "nested": {"b": shown["b"]},
        "c": shown["c"],
        "metadata": {"d": shown["d"]},
    }


def there(value: Value) -> Value:
    """What the remote makes of a value: lower case, no spaces around it, '' for nothing at all."""
    return (value.strip().lower() or None) if isinstance(value, str) else value


def here(value: Value) -> Value:
    """What the database makes of a value."""
    return value.strip() if isinstance(value, str) else value


class Pair:
    """Both sides and the link between them."""

    def __init__(self, mapping: EntityMapping, row: dict[str, Value], remote: dict[str, Value] | None) -> None:
        self.mapping = mapping
        self.row = {column: here(value) for column, value in row.items()}
        self.remote = {column: there(value) for column, value in remote.items()} if remote is not None else None
        self.link = Link(RECORD, SYSTEM, "token", remote_id="cus_1" if remote is not None else None)
        self.second = 100
        self.calls: list[Attempt] = []
        self.row_writes = 0
        self.conflicts: list[Conflict] = []

    @classmethod
    def agreed(cls, mapping: EntityMapping, shown: dict[str, Value]) -> Pair:
        """A pair that was in step for long: each side shows the same in its own form."""
        pair = cls(mapping, shown, shown)
        assert pair.remote is not None
        pair.link = replace(pair.link, base=Base(dict(pair.row), dict(pair.remote)), window=Window(90, 91))
        return pair

    def picture(self) -> tuple[dict[str, Value], Window]:
        """The object as it is now."""
        assert self.remote is not None, "there is an object"
        self.second += 5
        return self.mapping.read(document_of(self.remote)), Window(self.second, self.second)

    def take(self, merge: Merge) -> None:
        """One transaction: the row is written, the database makes of it what it does."""
        if merge.row_patch:
            self.row_writes += 1
        self.row |= {column: here(value) for column, value in merge.row_patch.items()}
        self.link = settle(merge, self.shown())
        self.conflicts += merge.conflicts

    def shown(self) -> Row:
        """The row."""
        return Row(RECORD.key, dict(self.row))

    def inward(self) -> None:
        """Somebody looks at the remote."""
        seen, window = self.picture()
        found_in = "event" if self.link.base.remote else "linking"
        self.take(observe(self.mapping, self.link, self.shown(), seen, window, found_in=found_in))

    def outward(self, trigger: Trigger | None = None) -> None:
        """Deliver the row until nothing more is asked of the remote."""
        while True:
            decision = decide(self.mapping, self.link, self.shown(), trigger or Trigger())
            if isinstance(decision, Find):
                decision = make_create(self.mapping, self.link, self.shown())
            if isinstance(decision, Nothing):
                self.link = decision.link
                return
            if isinstance(decision, Look):
                self.inward()
            elif isinstance(decision, TakeBack):
                self.take(decision.merge)
            else:
                assert isinstance(decision, Make), decision
                self.call(decision)

    def call(self, made: Make) -> None:
        """Write the attempt down, make the call, take the answer in."""
        attempt = self.write_down(made)
        self.remote = self.remote or dict.fromkeys(COLUMNS)
        self.remote |= {c: there(attempt.patch[PATHS[c]]) for c in COLUMNS if PATHS[c] in attempt.patch}
        self.answer(attempt)

    def write_down(self, made: Make) -> Attempt:
        """The first transaction."""
        attempt = attempt_of(made, f"key{len(self.calls)}", self.link.remote_id)
        self.calls.append(attempt)
        assert len(self.calls) <= MOST_CALLS, "the traffic does not end"
        self.link = replace(made.link, attempt=attempt)
        return attempt

    def answer(self, attempt: Attempt) -> None:
        """The second transaction, with the object as it is now."""
        assert self.remote is not None
        self.second += 5
        shown = RemoteObject("cus_1", document=document_of(self.remote))
        answer = Answer(shown, Window(self.second, self.second))
        assert self.link.attempt == attempt
        self.take(take_answer(self.mapping, self.link, self.shown(), shown, answer, stale=False).merge)

    def rest(self) -> None:
        """Both directions until neither has anything to do."""
        for _ in range(3):
            self.outward()
            self.inward()
        calls, writes = len(self.calls), self.row_writes
        self.outward()
        self.inward()
        assert (len(self.calls), self.row_writes) == (calls, writes), "it never comes to rest"
        assert needs_nothing(self.mapping, self.link, self.shown())

    def differing(self) -> dict[str, Any]:
        """Columns in which the two sides do not say the same."""
        assert self.remote is not None
        return {c: (self.row[c], self.remote[c]) for c in COLUMNS if there(self.row[c]) != self.remote[c]}


def attempt_of(made: Make, key: str, remote_id: str | None) -> Attempt:
    """The attempt for a decision."""
    return Attempt(
        key, made.call, SYSTEM, "customer", remote_id, made.patch, made.columns, made.saw, None, RECORD, 0, 0.0
    )


def sent(columns: dict[str, Value], key: str = "key") -> Attempt:
    """An update of these columns that was made of a row with an empty base."""
    patch = {PATHS[column]: value for column, value in columns.items()}
    return Attempt(
        key, Call.UPDATE, SYSTEM, "customer", "cus_1", patch, columns, dict.fromkeys(columns), None, RECORD, 0, 0.0
    )
