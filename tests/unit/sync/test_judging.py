"""What an event means for a record: its place in time, our own calls, what they overwrote."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.model.link import Base, Link, Window
from bothways.model.record import RemoteObject, Row
from bothways.model.remote import Happening, RemoteEvent
from bothways.model.values import Value
from bothways.sync.inward import MARGIN_SECONDS, Verdict, bring_back, judge, read_receipt
from bothways.sync.mapping import DATABASE, LATEST, REVIEW
from bothways.sync.merge import settle
from bothways.sync.outward import compute_patch
from tests.unit.sync.pair import COLUMNS, RECORD, SYSTEM, mapping_of, sent

BASE: dict[str, Value] = dict.fromkeys(COLUMNS, "old")
LINK = Link(RECORD, SYSTEM, "t", remote_id="cus_1", base=Base(BASE, BASE), window=Window(100, 103))
OWN = sent({"b": "ours"}, "key_1")


def event(
    created: int = 500,
    *,
    remote_id: str = "cus_1",
    happening: Happening = Happening.UPDATED,
    key: str | None = None,
    previous: dict[str, Value] | None = None,
) -> RemoteEvent:
    """An event of the object."""
    shown = RemoteObject(remote_id, gone=happening is Happening.DELETED)
    return RemoteEvent("evt_1", SYSTEM, "customer", happening, created, shown, previous or {}, key)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 20))
def test_an_event_is_old_ambiguous_or_news(created: int, low: int, length: int) -> None:
    """Before the picture's window: old. Within it or a second beside it: nobody can tell. After it: news."""
    link = replace(LINK, window=Window(low, low + length))
    verdict = judge(link, event(created), None)
    if created < low - MARGIN_SECONDS:
        assert verdict is Verdict.DROP
    elif created <= low + length + MARGIN_SECONDS:
        assert verdict is Verdict.FETCH
    else:
        assert verdict is Verdict.MERGE


def test_without_a_picture_every_event_is_news() -> None:
    """Nothing is known that it could be older than."""
    assert judge(replace(LINK, window=None), event(0), None) is Verdict.MERGE


@pytest.mark.parametrize("happening", Happening)
@pytest.mark.parametrize("own", [None, OWN])
def test_a_call_under_way_is_waited_for(happening: Happening, own: object) -> None:
    """Whatever the event says: what the call does to the record is not known yet."""
    link = replace(LINK, attempt=OWN)
    assert judge(link, event(happening=happening), OWN if own else None) is Verdict.WAIT


@pytest.mark.parametrize("happening", Happening)
def test_a_tombstone_takes_no_events(happening: Happening) -> None:
    """A late event never revives the record."""
    assert judge(replace(LINK, deleted=True), event(happening=happening), None) is Verdict.DROP


def test_an_event_of_another_object_is_dropped() -> None:
    """The record has another object by now."""
    assert judge(LINK, event(remote_id="cus_2"), None) is Verdict.DROP


def test_a_deletion_counts_whenever_it_was() -> None:
    """There is no picture of it to be older than."""
    assert judge(LINK, event(0, happening=Happening.DELETED), None) is Verdict.GONE


def test_our_own_call_is_a_receipt_for_its_own_object_only() -> None:
    """A call's side effects on other objects carry its key, too: they are news."""
    assert judge(LINK, event(key="key_1"), OWN) is Verdict.RECEIPT
    assert judge(LINK, event(key="key_1"), replace(OWN, remote_id=None)) is Verdict.RECEIPT
    assert judge(LINK, event(key="key_1"), replace(OWN, remote_id="cus_2")) is Verdict.MERGE
    assert judge(LINK, event(key="key_1"), replace(OWN, object="product")) is Verdict.MERGE


# ------------------------------------------------------------------------------------------------------------ receipts


def receipt(
    wins: str, *, previous: str = "theirs", ours: tuple[str, ...] = ("key_1",), changed: int | None = None
) -> tuple[Link, dict[str, Value], list[str]]:
    """The receipt of a call that replaced ``previous``: link after it, what comes back, who won."""
    times = {} if changed is None else {"b": changed}
    base = replace(LINK, ours={"b": ours}, remote_times=times, base=Base({**BASE, "b": "ours"}, {**BASE, "b": "ours"}))
    row = Row(RECORD.key, {**BASE, "b": "ours"})
    own = replace(OWN, saw={"b": "old"})
    got = read_receipt(
        mapping_of({"b": wins}), base, row, event(key="key_1", previous={"nested": {"b": previous}}), own
    )
    return got.link, got.bring_back, [conflict.winner for conflict in got.conflicts]


@pytest.mark.parametrize(
    ("wins", "back", "winner"),
    [
        (SYSTEM, {"b": "theirs"}, SYSTEM),
        (DATABASE, {}, "database"),
        (LATEST, {}, "database"),
        (REVIEW, {}, REVIEW),
    ],
)
def test_what_our_call_overwrote_is_a_conflict(wins: str, back: dict[str, Value], winner: str) -> None:
    """Settled by the field's policy: the remote's value comes back where the remote wins."""
    _, brought, winners = receipt(wins)
    assert (brought, winners) == (back, [winner])


def test_what_we_had_seen_is_no_conflict() -> None:
    """The call replaced the very value that it was computed against."""
    assert receipt(SYSTEM, previous="old")[1:] == ({}, [])


def test_nothing_comes_back_over_a_later_edit() -> None:
    """Somebody there changed the field since, or a later value there is not ours any more."""
    assert receipt(SYSTEM, changed=501)[1] == {}
    assert receipt(SYSTEM, ours=())[1] == {}
    assert receipt(SYSTEM, ours=("key_0",))[1] == {}


def test_an_earlier_receipt_that_comes_late_brings_nothing_back() -> None:
    """What a later call overwrote was edited after it. A receipt of a still later call may."""
    link, _, _ = receipt(SYSTEM, ours=("key_0", "key_1", "key_2"))
    assert link.ours["b"] == ("key_2",)
    link, _, _ = receipt(SYSTEM, previous="old", ours=("key_0", "key_1", "key_2"))
    assert link.ours["b"] == ("key_0", "key_1", "key_2")


def test_a_receipt_speaks_of_fields_that_were_sent() -> None:
    """What the same call changed besides, as a side effect, was not overwritten by us."""
    got = read_receipt(mapping_of({"a": SYSTEM}), LINK, Row(RECORD.key, BASE), event(previous={"a": "theirs"}), OWN)
    assert (got.bring_back, got.conflicts, got.link) == ({}, (), LINK)


def test_a_create_overwrites_nothing() -> None:
    """Its event has no previous values; neither has one without a row any use."""
    created = event(happening=Happening.CREATED, previous={"nested": {"b": "x"}})
    assert read_receipt(mapping_of(), LINK, Row(RECORD.key, BASE), created, OWN).conflicts == ()
    assert read_receipt(mapping_of(), LINK, None, event(previous={"nested": {"b": "x"}}), OWN).conflicts == ()


def test_what_comes_back_goes_out_again() -> None:
    """It is written to the row only: the base stays, so that the remote is told."""
    mapping = mapping_of({"b": SYSTEM})
    link = replace(LINK, ours={"b": ("key_1",)}, base=Base({**BASE, "b": "ours"}, {**BASE, "b": "ours"}))
    row = Row(RECORD.key, {**BASE, "b": "ours"})
    got = read_receipt(mapping, link, row, event(previous={"nested": {"b": "theirs"}}), replace(OWN, saw={"b": "old"}))
    merge = bring_back(mapping, got)
    assert merge.row_patch == {"b": "theirs"}
    after = Row(RECORD.key, {**row.values, **merge.row_patch})
    assert compute_patch(mapping, settle(merge, after), after).paths == {"nested.b": "theirs"}
