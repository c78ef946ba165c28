"""Which row is which object."""

from __future__ import annotations

import pytest

from bothways.model.link import Attempt, Call, Link
from bothways.model.record import RecordId, Row
from bothways.model.values import Value
from bothways.sync.linking import (
    Adopt,
    AdoptObject,
    Candidate,
    Counterpart,
    Impossible,
    LeftOut,
    New,
    Rule,
    Standing,
    Waits,
    choose_object,
    choose_row,
    match_of_object,
    match_of_row,
    new_row,
    standing,
)
from bothways.sync.mapping import EntityMapping, FieldMap, Ways
from bothways.sync.transforms import MINOR_UNITS, TEXT_INTEGER

MAPPING = EntityMapping(
    "customer",
    "stripe",
    "customer",
    (
        FieldMap("email", "email"),
        FieldMap("points", "metadata.points", transform=TEXT_INTEGER),
        FieldMap("tier", "metadata.tier", ways=Ways.OUT),
    ),
    id_column="stripe_id",
    match_on=("email",),
)
RECORD = RecordId("customer", '{"id":1}')
OTHER = RecordId("customer", '{"id":2}')


def row(key: str = RECORD.key, *, takes_part: bool = True, **values: Value) -> Row:
    """A row without an id of its own, unless said otherwise."""
    return Row(key, {"email": "a@x.example", "stripe_id": None, **values}, takes_part=takes_part)


def free(key: str = RECORD.key, stripe_id: str | None = None) -> Candidate:
    """A row that has no object yet."""
    return Candidate(row(key, stripe_id=stripe_id), Standing.FREE)


def test_one_free_row_is_adopted_and_the_rule_is_told() -> None:
    """By whichever rule it was found."""
    for rule in Rule:
        assert choose_row(MAPPING, rule, [free()], "cus_1") == Adopt(row(), rule)


def test_nothing_found_goes_on_to_the_next_rule() -> None:
    """Only no candidate at all does."""
    assert choose_row(MAPPING, Rule.ID_COLUMN, [], "cus_1") is None


def test_several_free_rows_are_ambiguous() -> None:
    """By a matching field that is a new record; two rows that name the same object are for people."""
    both = [free(), free(OTHER.key)]
    assert choose_row(MAPPING, Rule.MATCH, both, "cus_1") == New(ambiguous=True)
    named = choose_row(MAPPING, Rule.ID_COLUMN, both, "cus_1")
    assert isinstance(named, Impossible)
    assert 'customer {"id":1} and customer {"id":2} both name cus_1' in named.reason


def test_a_row_that_names_another_object_is_never_matched_to_this_one() -> None:
    """Whether it is linked yet or not: doubles at the remote must not change the user's own column."""
    found = choose_row(MAPPING, Rule.MATCH, [free(stripe_id="cus_named")], "cus_double")
    assert isinstance(found, Impossible)
    assert "names cus_named" in found.reason
    beside = choose_row(MAPPING, Rule.MATCH, [free(stripe_id="cus_named"), free(OTHER.key)], "cus_double")
    assert beside == Adopt(row(OTHER.key), Rule.MATCH)


def test_a_row_that_is_taken_is_for_people_and_one_that_is_being_sent_waits() -> None:
    """The reason names both."""
    taken = choose_row(MAPPING, Rule.MATCH, [Candidate(row(), Standing.TAKEN, "cus_0")], "cus_1")
    assert isinstance(taken, Impossible)
    assert "cus_1 matches" in taken.reason
    assert "linked to cus_0 already" in taken.reason
    assert choose_row(MAPPING, Rule.MATCH, [Candidate(row(), Standing.CALLING)], "cus_1") == Waits()


def test_two_that_were_linked_a_moment_ago_are_no_trouble() -> None:
    """Another worker was quicker: that is looked at anew, and no dead letter."""
    assert choose_row(MAPPING, Rule.MATCH, [Candidate(row(), Standing.TAKEN, "cus_1")], "cus_1") == Waits()


def test_an_object_of_rows_that_take_no_part_is_left_out() -> None:
    """It is not copied into the table; beside a row that takes part they do not count."""
    guest = Candidate(row(takes_part=False), Standing.TAKEN)
    assert choose_row(MAPPING, Rule.MATCH, [guest], "cus_1") == LeftOut()
    assert choose_row(MAPPING, Rule.MATCH, [guest, free(OTHER.key)], "cus_1") == Adopt(row(OTHER.key), Rule.MATCH)


def test_the_standing_of_a_link() -> None:
    """A tombstone lets its key be used again, unless the row was kept on purpose."""
    link = Link(RECORD, "stripe", "token")
    attempt = Attempt("k", Call.CREATE, "stripe", "customer", None, {}, {}, {}, None, RECORD, 0, 0.0)
    assert standing(None) is standing(link) is Standing.FREE
    assert standing(Link(RECORD, "stripe", "t", attempt=attempt)) is Standing.CALLING
    assert standing(Link(RECORD, "stripe", "t", remote_id="cus_1")) is Standing.TAKEN
    assert standing(Link(RECORD, "stripe", "t", remote_id="cus_1", deleted=True)) is Standing.FREE
    assert standing(Link(RECORD, "stripe", "t", remote_id="cus_1", deleted=True, row_kept=True)) is Standing.TAKEN


def test_empty_values_match_nothing() -> None:
    """Two records without an e-mail are not the same record; nor is a value that has no counterpart a match."""
    assert match_of_row(MAPPING, row()) == {"email": "a@x.example"}
    assert match_of_object(MAPPING, {"email": "a@x.example"}) == {"email": "a@x.example"}
    for empty in (None, ""):
        assert match_of_row(MAPPING, row(email=empty)) == {}
        assert match_of_object(MAPPING, {"email": empty}) == {}
    by_points = EntityMapping(
        "c", "s", "c", (FieldMap("points", "points", transform=MINOR_UNITS),), match_on=("points",)
    )
    assert match_of_row(by_points, Row("1", {"points": "1.234"})) == {}
    assert match_of_object(by_points, {"points": "many"}) == {}


@pytest.mark.parametrize("named", [None, "cus_1"])
def test_a_row_adopts_its_one_free_object(named: str | None) -> None:
    """What another record owns is for people; without any object, or with several, it is a new one."""
    rule = Rule.MATCH if named is None else Rule.ID_COLUMN
    assert choose_object(RECORD, "stripe", [Counterpart("cus_1")], named=named) == AdoptObject("cus_1", rule)
    owned = choose_object(RECORD, "stripe", [Counterpart("cus_1", owner=OTHER)], named=named)
    assert isinstance(owned, Impossible)
    assert "linked to" in owned.reason
    assert choose_object(RECORD, "stripe", [], named=named) == New()


def test_an_object_that_is_gone_counts_only_if_the_row_names_it() -> None:
    """A match that is deleted between list and look is no match; a name that leads nowhere is for people."""
    gone = Counterpart("cus_1", gone=True)
    assert choose_object(RECORD, "stripe", [gone], named=None) == New()
    assert isinstance(choose_object(RECORD, "stripe", [gone], named="cus_1"), Impossible)


def test_our_own_mark_decides_among_several() -> None:
    """Else several are ambiguous."""
    several = [Counterpart("cus_1"), Counterpart("cus_2", ours=True), Counterpart("cus_3")]
    assert choose_object(RECORD, "stripe", several, named=None) == AdoptObject("cus_2", Rule.MARK)
    assert choose_object(RECORD, "stripe", [several[0], several[2]], named=None) == New(ambiguous=True)


def test_a_new_row_has_what_comes_in_and_says_what_does_not() -> None:
    """Nothing is written where the object has nothing, so that defaults apply."""
    made = new_row(MAPPING, {"email": None, "metadata": {"points": "many", "tier": "gold"}}, "cus_1")
    assert made.values == {"stripe_id": "cus_1"}
    assert list(made.refused) == ["points"]
