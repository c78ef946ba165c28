"""What a row asks of the remote: refused values, deletions, generations, what is held for ``latest``."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.model.link import Base, Call, Held, Link, Window
from bothways.model.record import RemoteObject, Row
from bothways.model.remote import Answer
from bothways.model.values import Value
from bothways.sync.held import Trigger
from bothways.sync.mapping import DATABASE, LATEST, REVIEW, Deletes, EntityMapping, FieldMap, MarkColumn
from bothways.sync.merge import observe, refuse_inward
from bothways.sync.outward import (
    Find,
    Look,
    Make,
    Nothing,
    Settle,
    begin_again,
    call_refused,
    decide,
    make_create,
    take_answer,
    take_note,
    taken_away,
)
from bothways.sync.transforms import UNIX_SECONDS
from tests.unit.sync.pair import COLUMNS, PATHS, RECORD, SYSTEM, Pair, attempt_of, document_of, mapping_of, sent

MAPPING = mapping_of()
START: dict[str, Value] = dict.fromkeys(COLUMNS, "old")
GONE = Trigger(deleted=True)


def linked(**changes: Value) -> Pair:
    """A pair in step, then the row edited."""
    pair = Pair.agreed(MAPPING, START)
    pair.row |= changes
    return pair


# ------------------------------------------------------------------------------------------------------------ refusals


@given(st.dictionaries(st.sampled_from(COLUMNS), st.sampled_from(["n", "m"]), min_size=1), st.sampled_from(COLUMNS))
def test_a_refused_value_is_left_out_until_it_changes(edits: dict[str, Value], bad: str) -> None:
    """The rest of the record goes on; the same value is never sent again, another one is."""
    pair = linked(**{bad: "bad"}, **{c: v for c, v in edits.items() if c != bad})
    decision = decide(MAPPING, pair.link, pair.shown(), Trigger())
    assert isinstance(decision, Make)
    pair.write_down(decision)
    pair.link = call_refused(MAPPING, pair.link, PATHS[bad])
    pair.outward()
    assert all("bad" not in attempt.columns.values() for attempt in pair.calls[1:])
    assert pair.remote is not None
    assert {c: pair.remote[c] for c in edits if c != bad} == {c: v for c, v in edits.items() if c != bad}
    assert pair.remote[bad] == "old"
    calls = len(pair.calls)
    pair.outward()
    assert len(pair.calls) == calls
    pair.row[bad] = "good"
    pair.outward()
    assert pair.remote[bad] == "good"


def test_a_refusal_that_names_no_field_is_about_all_that_was_sent() -> None:
    """Nobody can tell which value it was: none of them is sent again as it is."""
    pair = linked(a="n", b="m")
    decision = decide(MAPPING, pair.link, pair.shown(), Trigger())
    assert isinstance(decision, Make)
    pair.write_down(decision)
    link = call_refused(MAPPING, pair.link, None)
    assert link.refused == {"a": "n", "b": "m"}
    assert isinstance(decide(MAPPING, link, pair.shown(), Trigger()), Nothing)


@pytest.mark.parametrize(
    ("named", "refused"), [("nested", {"b"}), ("nested.b.x", {"b"}), ("nested.bb", {"a", "b"}), ("a", {"a"})]
)
def test_a_refusal_may_name_a_parent_or_a_part_of_a_field(named: str, refused: set[str]) -> None:
    """A path covers what lies below and above it, not what begins alike."""
    attempt = sent({"a": "n", "b": "m"})
    link = Link(RECORD, SYSTEM, "t", remote_id="cus_1", attempt=attempt)
    assert set(call_refused(MAPPING, link, named).refused) == refused


def test_a_refused_deletion_ends_the_link() -> None:
    """The remote never takes it: the tombstone stays, and nothing is tried again."""
    pair = linked()
    attempt = replace(sent({}), call=Call.DELETE)
    link = call_refused(MAPPING, replace(pair.link, attempt=attempt, row_gone=True), None)
    assert link.deleted
    assert isinstance(decide(MAPPING, link, None, GONE), Nothing)


def test_a_value_that_cannot_be_sent_is_named_and_left_out() -> None:
    """A transform that takes no such value: the other columns go out, and it is told once."""
    mapping = replace(MAPPING, fields=(FieldMap("a", "a", transform=UNIX_SECONDS), FieldMap("c", "c")))
    base: dict[str, Value] = {"a": None, "c": "old"}
    link = Link(RECORD, SYSTEM, "t", remote_id="cus_1", base=Base(base, base))
    decision = decide(mapping, link, Row(RECORD.key, {"a": "no time", "c": "new"}), Trigger())
    assert isinstance(decision, Make)
    assert set(decision.columns) == {"c"}
    assert [(bad.column, bad.value) for bad in decision.bad] == [("a", "no time")]
    again = decide(mapping, decision.link, Row(RECORD.key, {"a": "no time", "c": "old"}), Trigger())
    assert isinstance(again, Nothing)
    assert again.bad == ()


def test_a_create_whose_values_are_all_refused_is_not_made() -> None:
    """An empty object is nobody's record."""
    row = Row(RECORD.key, dict(START))
    link = Link(RECORD, SYSTEM, "t", refused=dict(START))
    assert isinstance(make_create(MAPPING, link, row), Nothing)


def test_what_the_database_refused_comes_in_when_it_changes() -> None:
    """The refused value is not tried again; the next one is."""
    pair = linked()
    assert pair.remote is not None
    pair.remote["a"] = "ugly"
    seen, window = pair.picture()
    merge = observe(MAPPING, pair.link, pair.shown(), seen, window, found_in="event")
    assert merge.row_patch == {"a": "ugly"}
    link = refuse_inward(merge.link, pair.link, "a", "ugly")
    assert link.base == pair.link.base
    assert observe(MAPPING, link, pair.shown(), seen, window, found_in="event").row_patch == {}
    better = {**seen, "a": "fine"}
    assert observe(MAPPING, link, pair.shown(), better, window, found_in="event").row_patch == {"a": "fine"}


# ------------------------------------------------------------------------------------------- deletions and generations


def test_a_row_that_is_absent_is_deleted_only_when_the_log_says_so() -> None:
    """Its key may be changing."""
    link = linked().link
    assert isinstance(decide(MAPPING, link, None, Trigger()), Nothing)
    noted = take_note(link, None, GONE)
    decision = decide(MAPPING, noted, None, GONE)
    assert isinstance(decision, Make)
    assert decision.call is Call.DELETE
    assert take_note(noted, None, Trigger()).row_gone, "it outlives the message"
    assert not take_note(noted, linked().shown(), Trigger()).row_gone, "the row is there again"


@pytest.mark.parametrize("policy", Deletes)
def test_a_deletion_goes_out_as_the_policy_says(policy: Deletes) -> None:
    """A call, an update that marks, or no call; afterwards the link is a tombstone."""
    mapping = replace(MAPPING, deletes_out=policy, mark_out=MarkColumn("metadata.state", "gone"))
    link = take_note(linked().link, None, GONE)
    decision = decide(mapping, link, None, GONE)
    if policy is Deletes.IGNORE:
        assert isinstance(decision, Nothing)
        assert decision.link.deleted
        return
    assert isinstance(decision, Make)
    expected = (Call.DELETE, {}) if policy is Deletes.PROPAGATE else (Call.UPDATE, {"metadata.state": "gone"})
    assert (decision.call, decision.patch) == expected
    attempt = replace(sent({}), call=decision.call)
    gone = RemoteObject("cus_1", gone=policy is Deletes.PROPAGATE)
    taken = take_answer(mapping, replace(link, attempt=attempt), None, gone, Answer(gone, Window(1, 1)), stale=False)
    assert taken.merge.link.deleted
    assert taken.retire == "cus_1"


@pytest.mark.parametrize("policy", Deletes)
def test_a_deletion_comes_in_as_the_policy_says(policy: Deletes) -> None:
    """The row goes, is marked, or stays; edits that had not gone out yet are kept in a conflict where they are lost."""
    mapping = replace(MAPPING, deletes_in=policy)
    pair = linked(a="unsent")
    taken = taken_away(mapping, pair.link, pair.shown())
    assert (taken.delete_row, taken.mark_row) == (policy is Deletes.PROPAGATE, policy is Deletes.MARK)
    assert taken.merge.link.deleted
    assert taken.merge.link.row_kept == (policy is not Deletes.PROPAGATE)
    lost = [conflict.row_value for conflict in taken.merge.conflicts]
    assert lost == ([{"a": "unsent"}] if policy is Deletes.PROPAGATE else [])


def test_nothing_revives_a_tombstone() -> None:
    """A late edit of the row asks nothing of the remote."""
    pair = linked(a="late")
    assert isinstance(decide(MAPPING, replace(pair.link, deleted=True), pair.shown(), Trigger()), Nothing)


def test_a_key_that_is_used_again_is_a_new_record() -> None:
    """After the deletion has gone out: the next generation, which knows nothing of the last one."""
    old = replace(linked().link, deleted=True, generation=2, revision=7)
    new = begin_again(old, linked().shown(), "new token")
    assert new == Link(RECORD, SYSTEM, "new token", generation=3, revision=8)


@pytest.mark.parametrize("case", ["alive", "no row", "kept", "calling"])
def test_a_generation_goes_on_otherwise(case: str) -> None:
    """No new record while the old one lives, has no row, is kept by policy, or has a call under way."""
    link = replace(linked().link, deleted=case != "alive", row_kept=case == "kept")
    link = replace(link, attempt=sent({"a": "x"}) if case == "calling" else None)
    assert begin_again(link, None if case == "no row" else linked().shown(), "new") is None


def test_a_kept_row_that_is_replaced_is_still_the_kept_row() -> None:
    """``REPLACE`` is no deletion; a deletion that stays one is."""
    kept = replace(linked().link, deleted=True, row_kept=True)
    assert take_note(kept, linked().shown(), GONE).row_kept
    assert not take_note(kept, None, GONE).row_kept


def test_an_update_that_finds_the_object_gone_takes_the_row_along() -> None:
    """What was to be sent is kept in the conflict's record."""
    pair = linked(a="late")
    decision = decide(MAPPING, pair.link, pair.shown(), Trigger())
    assert isinstance(decision, Make)
    pair.write_down(decision)
    gone = RemoteObject("cus_1", gone=True)
    taken = take_answer(MAPPING, pair.link, pair.shown(), gone, Answer(gone, Window(1, 1)), stale=False)
    assert taken.delete_row
    assert taken.retire == "cus_1"
    assert [conflict.row_value for conflict in taken.merge.conflicts] == [{"a": "late"}]


# ---------------------------------------------------------------------------------------------------- what comes first


def test_an_attempt_is_settled_before_anything_else() -> None:
    """Even a deletion waits for it."""
    attempt = sent({"a": "x"})
    link = replace(linked().link, attempt=attempt, row_gone=True)
    assert decide(MAPPING, link, None, GONE) == Settle(attempt)


def test_a_field_that_is_new_in_the_settings_is_looked_at_before_it_is_written() -> None:
    """Its base is not known: to send the row's value could overwrite somebody's."""
    pair = linked(a="x")
    base = {column: value for column, value in pair.link.base.remote.items() if column != "b"}
    link = replace(pair.link, base=Base(pair.link.base.row, base))
    assert decide(MAPPING, link, pair.shown(), Trigger()) == Look(link)


def test_a_row_that_takes_no_part_asks_nothing() -> None:
    """Whether it is linked or not."""
    row = replace(linked(a="x").shown(), takes_part=False)
    assert isinstance(decide(MAPPING, linked().link, row, Trigger()), Nothing)
    assert isinstance(decide(MAPPING, Link(RECORD, SYSTEM, "t"), row, Trigger()), Nothing)
    assert isinstance(decide(MAPPING, Link(RECORD, SYSTEM, "t"), replace(row, takes_part=True), Trigger()), Find)


# -------------------------------------------------------------------------------------------------------------- latest


def contested(wins: str) -> tuple[EntityMapping, Pair]:
    """Both sides edited ``a``; the remote at second 105, as an event says."""
    mapping = mapping_of({"a": wins})
    pair = Pair.agreed(mapping, START)
    assert pair.remote is not None
    pair.row["a"], pair.remote["a"] = "ours", "theirs"
    pair.inward()
    return mapping, pair


@given(st.floats(0, 300, allow_nan=False))
def test_the_later_edit_wins(committed: float) -> None:
    """The remote's value is held until the row's change is captured; then its commit time decides."""
    _, pair = contested(LATEST)
    assert pair.link.held == {"a": Held("theirs", 105)}
    assert pair.row["a"] == "ours"
    pair.outward(Trigger(changes=((committed, dict(pair.row)),)))
    winner = "ours" if committed >= 105 else "theirs"
    assert pair.remote is not None
    assert (pair.row["a"], pair.remote["a"]) == (winner, winner)
    assert pair.link.held == {}
    assert [conflict.winner for conflict in pair.conflicts] == ["database" if winner == "ours" else SYSTEM]


def test_a_held_value_waits_for_the_change_that_it_is_up_against() -> None:
    """Another change of the row settles nothing, and the field is not sent meanwhile."""
    _, pair = contested(LATEST)
    pair.outward(Trigger(changes=((200.0, {**pair.row, "a": "older"}),)))
    assert pair.link.held == {"a": Held("theirs", 105)}
    assert pair.calls == []


def test_a_conflict_for_people_waits_for_them() -> None:
    """Neither side is written, the conflict is told once, other fields go on."""
    _, pair = contested(REVIEW)
    pair.row["b"] = "new"
    pair.inward()
    pair.outward()
    assert pair.remote is not None
    assert (pair.row["a"], pair.remote["a"], pair.remote["b"]) == ("ours", "theirs", "new")
    assert [conflict.winner for conflict in pair.conflicts] == [REVIEW]


def test_sides_that_come_to_say_the_same_end_what_was_held() -> None:
    """The remote takes the row's value by itself: nothing is left to settle."""
    _, pair = contested(LATEST)
    assert pair.remote is not None
    pair.remote["a"] = "ours"
    pair.inward()
    assert pair.link.held == {}
    assert pair.link.base.remote["a"] == "ours"


@pytest.mark.parametrize("held_for", [LATEST, REVIEW])
@pytest.mark.parametrize("now", [DATABASE, SYSTEM, LATEST, REVIEW])
@pytest.mark.parametrize("looked_at", [True, False])
def test_what_is_held_is_settled_by_the_policy_that_the_field_has_now(held_for: str, now: str, looked_at: bool) -> None:
    """Somebody changed ``wins`` while a value was held, whoever is looked at first after the start."""
    _, pair = contested(held_for)
    pair.mapping = mapping_of({"a": now})
    if looked_at:
        pair.inward()
    pair.outward(Trigger(changes=((200.0, dict(pair.row)),)))
    assert pair.remote is not None
    expected = ("ours", "theirs") if now == REVIEW else ("theirs",) * 2 if now == SYSTEM else ("ours",) * 2
    assert (pair.row["a"], pair.remote["a"]) == expected
    assert set(pair.link.held) == ({"a"} if now == REVIEW else set())
    assert pair.conflicts[-1].winner == (DATABASE if now == LATEST else now)
    pair.row["a"] = pair.remote["a"] = "z"
    pair.rest()
    pair.row["a"] = "later"
    pair.outward()
    assert pair.remote["a"] == "later"


@pytest.mark.parametrize("held_for", [LATEST, REVIEW])
def test_what_is_held_for_a_column_that_is_mapped_no_longer_is_let_go(held_for: str) -> None:
    """The record's other fields go on."""
    mapping, pair = contested(held_for)
    pair.mapping = replace(mapping, fields=tuple(each for each in mapping.fields if each.column != "a"))
    pair.row["b"] = "new"
    pair.outward()
    assert pair.remote is not None
    assert (pair.remote["b"], pair.link.held) == ("new", {})


def test_a_person_settles_a_conflict_by_an_edit_of_either_side() -> None:
    """Both sides say the same then, and later edits of the row go out again."""
    _, pair = contested(REVIEW)
    assert pair.remote is not None
    pair.row["a"] = "theirs"
    pair.outward()
    assert (pair.link.held, pair.calls) == ({}, [])
    pair.row["a"] = "later"
    pair.outward()
    assert pair.remote["a"] == "later"


def test_a_value_that_the_remote_refused_does_not_win_by_being_later() -> None:
    """It could never get there: the remote's value is taken."""
    mapping = mapping_of({"a": LATEST})
    pair = Pair.agreed(mapping, START)
    assert pair.remote is not None
    pair.row["a"], pair.remote["a"] = "bad", "theirs"
    pair.link = replace(pair.link, refused={"a": "bad"})
    pair.inward()
    assert pair.row["a"] == "theirs"


def test_a_replayed_answer_says_what_was_done_not_what_is() -> None:
    """Its effect is the base; what the fresh picture shows of the same field is somebody's later edit."""
    pair = linked(a="ours")
    decision = decide(MAPPING, pair.link, pair.shown(), Trigger())
    assert isinstance(decision, Make)
    pair.write_down(decision)
    assert pair.remote is not None
    effect = RemoteObject("cus_1", document=document_of({**pair.remote, "a": "ours"}))
    now = RemoteObject("cus_1", document=document_of({**pair.remote, "a": "later"}))
    taken = take_answer(MAPPING, pair.link, pair.shown(), effect, Answer(now, Window(110, 111)), stale=True)
    assert taken.merge.row_patch == {"a": "later"}
    assert taken.merge.link.attempt is None
    assert taken.merge.link.base.remote["a"] == "later"
    assert taken.merge.link.ours == {}, "what is there now is not ours"


def test_a_tombstone_holds_no_values() -> None:
    """However a pair comes to its end: by the row, by the remote, by our own call, by a deletion that is refused."""
    pair = linked(name="Secret")
    link = replace(pair.link, refused={"name": "Secret"}, held={"name": Held("Secret", 1)}, remote_times={"name": 1})
    absent = decide(replace(MAPPING, deletes_out=Deletes.IGNORE), replace(link, row_gone=True), None, GONE)
    made = decide(MAPPING, replace(link, row_gone=True), None, GONE)
    assert isinstance(absent, Nothing)
    assert isinstance(made, Make)
    attempt = attempt_of(made, "key", "cus_1")
    called = replace(made.link, attempt=attempt)
    gone = RemoteObject("cus_1", gone=True)
    answered = take_answer(MAPPING, called, None, gone, Answer(gone, Window(1, 1)), stale=False).merge.link
    ends = [absent.link, answered, call_refused(MAPPING, called, None), taken_away(MAPPING, link, None).merge.link]
    for each in ends:
        assert each.deleted
        assert (each.base, each.held, each.refused, each.remote_times) == (Base(), {}, {}, {})
        assert "Secret" not in repr(replace(each, attempt=None))
