"""For all bases, edits, policies and orders: both sides end up with the same, and it is what somebody wrote."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.model.values import Value
from bothways.sync.held import Trigger
from bothways.sync.mapping import DATABASE, EntityMapping, Ways
from bothways.sync.outward import Make, decide, needs_nothing
from tests.unit.sync.pair import COLUMNS, SYSTEM, Pair, contents, here, mapping_of, mappings, policies, there, values

edits = st.lists(
    st.tuples(st.sampled_from(["here", "there", "inward", "outward"]), st.sampled_from(COLUMNS), values), max_size=12
)
one_edit_each = st.dictionaries(st.sampled_from(COLUMNS), values, max_size=4)


def forms(value: Value) -> set[object]:
    """A value in all the forms that either side may show it in; True is not 1."""
    return {(type(v), v) for v in (value, here(value), there(value), there(here(value)), here(there(value)))}


@given(mappings, contents, edits)
@settings(max_examples=300)
def test_any_history_ends_in_step_with_a_value_that_somebody_wrote(
    mapping: EntityMapping, start: dict[str, Value], history: list[tuple[str, str, Value]]
) -> None:
    """Edits and deliveries in any order: the sides say the same at the end, and no value comes from nowhere."""
    pair = Pair.agreed(mapping, start)
    written = {column: forms(start[column]) for column in COLUMNS}
    assert pair.remote is not None
    for what, column, value in history:
        if what == "here":
            pair.row[column] = here(value)
            written[column] |= forms(value)
        elif what == "there":
            pair.remote[column] = there(value)
            written[column] |= forms(value)
        elif what == "inward":
            pair.inward()
        else:
            pair.calls.clear()
            pair.outward()
    pair.calls.clear()
    pair.rest()
    assert pair.differing() == {}
    for column in COLUMNS:
        assert (type(pair.row[column]), pair.row[column]) in written[column]
        assert (type(pair.remote[column]), pair.remote[column]) in written[column]


@given(mappings, contents, one_edit_each, one_edit_each, st.booleans())
@settings(max_examples=300)
def test_a_side_that_changed_nothing_never_overrides_one_that_did(
    mapping: EntityMapping,
    start: dict[str, Value],
    ours: dict[str, Value],
    theirs: dict[str, Value],
    inward_first: bool,
) -> None:
    """A field that one side alone has edited ends with that edit: so edits of different fields all survive."""
    pair = Pair.agreed(mapping, start)
    assert pair.remote is not None
    pair.row |= {column: here(value) for column, value in ours.items()}
    pair.remote |= {column: there(value) for column, value in theirs.items()}
    before_row, before_remote = dict(pair.row), dict(pair.remote)
    if inward_first:
        pair.inward()
    pair.rest()
    for column in COLUMNS:
        if column in ours and column not in theirs:
            assert there(pair.row[column]) == there(before_row[column])
        if column in theirs and column not in ours:
            assert pair.remote[column] == before_remote[column]
        if column not in ours and column not in theirs:
            assert (pair.row[column], pair.remote[column]) == (before_row[column], before_remote[column])


@given(st.sampled_from(COLUMNS), policies, st.sampled_from(["p", "q"]), st.sampled_from(["r", "s"]))
def test_both_edited_ends_with_the_one_that_the_policy_names(column: str, wins: str, ours: str, theirs: str) -> None:
    """One conflict is noted, with both values and who won."""
    pair = Pair.agreed(mapping_of({column: wins}), dict.fromkeys(COLUMNS, "old"))
    assert pair.remote is not None
    pair.row[column], pair.remote[column] = ours, theirs
    pair.inward()
    pair.rest()
    winner = ours if wins == DATABASE else theirs
    assert (pair.row[column], pair.remote[column]) == (winner, winner)
    (conflict,) = pair.conflicts
    assert (conflict.column, conflict.row_value, conflict.remote_value) == (column, ours, theirs)
    assert conflict.winner == (DATABASE if wins == DATABASE else SYSTEM)


@given(mappings, contents, contents, contents)
def test_a_picture_seen_twice_says_nothing_new(
    mapping: EntityMapping, start: dict[str, Value], row: dict[str, Value], remote: dict[str, Value]
) -> None:
    """``observe`` is idempotent: no second write, no second conflict, the same base."""
    pair = Pair.agreed(mapping, start)
    pair.row = {column: here(value) for column, value in row.items()}
    pair.remote = {column: there(value) for column, value in remote.items()}
    pair.inward()
    after, writes, conflicts = pair.link, pair.row_writes, len(pair.conflicts)
    pair.inward()
    assert (pair.row_writes, len(pair.conflicts)) == (writes, conflicts)
    assert (pair.link.base, pair.link.remote_times, pair.link.held) == (after.base, after.remote_times, after.held)


@given(mappings, contents, contents)
def test_after_the_answer_nothing_is_left_to_send(
    mapping: EntityMapping, start: dict[str, Value], row: dict[str, Value]
) -> None:
    """Whatever the remote makes of what it is sent, one call is enough: what it answered is its base."""
    pair = Pair.agreed(mapping, start)
    pair.row = {column: here(value) for column, value in row.items()}
    pair.outward()
    assert len(pair.calls) <= 1
    assert needs_nothing(mapping, pair.link, pair.shown())
    assert pair.row == {column: here(value) for column, value in row.items()}


@given(mappings, contents, st.dictionaries(st.sampled_from(COLUMNS), values, min_size=1))
def test_what_others_changed_meanwhile_comes_in_with_the_answer(
    mapping: EntityMapping, start: dict[str, Value], theirs: dict[str, Value]
) -> None:
    """An answer shows the whole object: fields that we did not send are merged like an event's."""
    pair = Pair.agreed(mapping, start)
    assert pair.remote is not None
    mine = next((column for column in COLUMNS if column not in theirs), None)
    if mine is None:
        return
    pair.row[mine] = "mine"
    pair.remote |= {column: there(value) for column, value in theirs.items()}
    decision = decide(mapping, pair.link, pair.shown(), Trigger())
    assert isinstance(decision, Make)
    assert set(decision.columns) == {mine}
    pair.call(decision)
    assert pair.differing() == {}
    for column in theirs:
        assert there(pair.row[column]) == there(theirs[column])


@given(contents, contents, mappings)
@settings(max_examples=200)
def test_two_records_that_are_linked_become_one(
    row: dict[str, Value], remote: dict[str, Value], mapping: EntityMapping
) -> None:
    """Where one side has nothing, the other's value stays; where both have something, the policy decides."""
    pair = Pair(mapping, row, remote)
    assert pair.remote is not None
    mine, theirs = dict(pair.row), dict(pair.remote)
    pair.inward()
    pair.rest()
    assert pair.differing() == {}
    for column in COLUMNS:
        ours_is_empty, theirs_is_empty = mine[column] in (None, ""), theirs[column] is None
        if ours_is_empty and not theirs_is_empty:
            assert pair.remote[column] == theirs[column]
        elif theirs_is_empty and not ours_is_empty:
            assert there(pair.row[column]) == there(mine[column])


@given(contents, st.dictionaries(st.sampled_from(COLUMNS), st.sampled_from(Ways)), contents, contents)
def test_changes_go_only_the_way_that_a_field_goes(
    start: dict[str, Value], ways: dict[str, Ways], row: dict[str, Value], remote: dict[str, Value]
) -> None:
    """A field that goes out never changes the row, one that comes in is never sent."""
    pair = Pair.agreed(mapping_of(ways=ways), start)
    pair.row = {column: here(value) for column, value in row.items()}
    pair.remote = {column: there(value) for column, value in remote.items()}
    before = dict(pair.row)
    pair.inward()
    pair.outward()
    pair.inward()
    for column, way in ways.items():
        if way is Ways.OUT:
            assert pair.row[column] == before[column]
        if way is Ways.IN:
            assert all(column not in attempt.columns for attempt in pair.calls)


@given(mappings, contents)
def test_a_new_record_is_created_once(mapping: EntityMapping, row: dict[str, Value]) -> None:
    """A row without an object: one create, then nothing, and no value in it that says nothing."""
    pair = Pair(mapping, row, None)
    pair.outward()
    assert pair.link.remote_id == "cus_1"
    assert len(pair.calls) == 1
    assert all(value is not None for value in pair.calls[0].patch.values())
    pair.rest()
    assert len(pair.calls) == 1
    assert pair.differing() == {}
