"""Judging a remote's event against what is known of the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from bothways.model.link import Attempt, Link
from bothways.model.outcome import Conflict
from bothways.model.record import Row
from bothways.model.remote import Happening, RemoteEvent
from bothways.model.values import Value
from bothways.sync.mapping import REVIEW, EntityMapping
from bothways.sync.merge import Merge

MARGIN_SECONDS = 1
"""The remote's clock is told in whole seconds: what lies this near to a picture may be older or newer than it."""


class Verdict(Enum):
    """What to do with an event of a linked record."""

    WAIT = auto()
    """A call of ours is under way for the record."""
    DROP = auto()
    """Old, of a record that is gone, or of another object."""
    GONE = auto()
    """The object was deleted."""
    RECEIPT = auto()
    """The event of our own call."""
    FETCH = auto()
    """It cannot be told whether our picture is older: a new one is needed."""
    MERGE = auto()
    """Its snapshot is news."""


def judge(link: Link, event: RemoteEvent, own: Attempt | None) -> Verdict:
    """``own`` is our attempt whose key the event carries, if there is one."""
    if link.attempt is not None:
        return Verdict.WAIT
    if link.deleted or link.remote_id != event.snapshot.id:
        return Verdict.DROP
    if event.happening is Happening.DELETED:
        return Verdict.GONE
    if own is not None and own.object == event.object and own.remote_id in (None, event.snapshot.id):
        return Verdict.RECEIPT
    if link.window is not None:
        if event.created < link.window.low - MARGIN_SECONDS:
            return Verdict.DROP
        if event.created <= link.window.high + MARGIN_SECONDS:
            return Verdict.FETCH
    return Verdict.MERGE


@dataclass(frozen=True, slots=True)
class Receipt:
    """What our own call overwrote without our having seen it."""

    link: Link
    bring_back: dict[str, Value]
    """Column → the remote's form of what goes back into the row; it goes out again from there."""
    conflicts: tuple[Conflict, ...]


def read_receipt(mapping: EntityMapping, link: Link, row: Row | None, event: RemoteEvent, own: Attempt) -> Receipt:
    """The event's previous values against what the remote had shown us when the attempt was computed."""
    if event.happening is not Happening.UPDATED or row is None:
        return Receipt(link, {}, ())
    previous = mapping.read_present(event.previous)
    lost = {c: v for c, v in previous.items() if c in own.columns and v != own.saw.get(c)}
    if not lost:
        return Receipt(link, {}, ())
    back: dict[str, Value] = {}
    conflicts: list[Conflict] = []
    for column, value in lost.items():
        wins = mapping.by_column[column].wins
        returns = (
            wins == mapping.system
            and mapping.by_column[column].comes_in
            and own.key in link.ours.get(column, ())
            and event.created >= link.remote_times.get(column, -1)
        )
        if returns:
            back[column] = value
        winner = mapping.system if returns else REVIEW if wins == REVIEW else "database"
        conflicts.append(Conflict(link.record, link.system, column, own.columns[column], value, winner, "receipt"))
    times, ours = dict(link.remote_times), dict(link.ours)
    for column in lost:
        times[column] = max(event.created, times.get(column, -1))
        ours[column] = _after(own.key, ours.get(column, ()))
    told = replace(link, remote_times=times, ours=ours, revision=link.revision + 1)
    return Receipt(told, back, tuple(conflicts))


def _after(key: str, keys: Sequence[str]) -> Sequence[str]:
    """The calls after this one: what it overwrote was edited on top of what the earlier ones had left there."""
    return tuple(keys[keys.index(key) + 1 :]) if key in keys else keys


def bring_back(mapping: EntityMapping, receipt: Receipt) -> Merge:
    """The receipt's values as a merge: written to the row, while the base stays, so that they go out."""
    patch = {column: mapping.by_column[column].transform.inward(v) for column, v in receipt.bring_back.items()}
    return Merge(receipt.link, patch, receipt.conflicts, agreed=False)
