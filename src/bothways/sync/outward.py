"""Deciding what a row asks of the remote, and what the remote's answer means."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bothways.model.link import Attempt, Base, Call, Link
from bothways.model.outcome import Conflict
from bothways.model.record import RemoteObject, Row
from bothways.model.remote import Answer
from bothways.model.values import Value, Values
from bothways.sync.held import Trigger, take_back
from bothways.sync.linking import is_left_alone, take_up
from bothways.sync.mapping import Deletes, EntityMapping, FieldMap
from bothways.sync.merge import BadValue, Merge, observe

_MISSING = object()
MOST_OWN_KEYS = 16
"""So many calls in a row on one field are told apart by their receipts."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No call is needed; the link is as it should be stored."""

    link: Link
    bad: tuple[BadValue, ...] = ()
    """Values that cannot be sent, for dead letters."""


@dataclass(frozen=True, slots=True)
class Settle:
    """An attempt is in flight: its fate comes before anything else."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Find:
    """There is no remote object yet: look for one that is this record, else create it with the patch of ``make``."""

    link: Link


@dataclass(frozen=True, slots=True)
class Make:
    """A call to make; the caller gives it a key and writes it down first."""

    link: Link
    call: Call
    patch: Values = field(default_factory=dict)
    columns: Values = field(default_factory=dict)
    saw: Values = field(default_factory=dict)
    bad: tuple[BadValue, ...] = ()


@dataclass(frozen=True, slots=True)
class TakeBack:
    """What of the remote was held can be settled now: values of it that win go into the row first."""

    merge: Merge


@dataclass(frozen=True, slots=True)
class Look:
    """A mapped field was never compared (it is new in the settings): look at the remote before writing over it."""

    link: Link


Decision = Nothing | Settle | Find | Look | Make | TakeBack


@dataclass(frozen=True, slots=True)
class Patch:
    """What of a row is to be sent, and what cannot be."""

    columns: Values
    """Column → the row's value."""
    paths: Values
    """Remote path → value in the remote's form."""
    agreed: Values
    """Columns that changed without a difference for the remote."""
    bad: tuple[BadValue, ...] = ()


def take_note(link: Link, row: Row | None, trigger: Trigger) -> Link:
    """The link with what the log said of the row's deletion, which must outlive the message.

    A row that is there again is the same record, kept or not.
    """
    gone = row is None and (trigger.deleted or link.row_gone)
    kept = link.row_kept and not (trigger.deleted and row is None)
    return link if (gone, kept) == (link.row_gone, link.row_kept) else replace(link, row_gone=gone, row_kept=kept)


def decide(mapping: EntityMapping, link: Link, row: Row | None, trigger: Trigger) -> Decision:
    """What this record needs now. ``Nothing`` is the common case, and ends the traffic.

    An absent row is a deletion only where its deletion was on the log (``take_note``): its key may be changing.
    """
    if link.attempt is not None:
        return Settle(link.attempt)
    if row is None:
        return _decide_absent(mapping, link)
    if link.deleted or not row.takes_part:
        return Nothing(link)
    back = take_back(mapping, link, row, trigger)
    if back is not None:
        return TakeBack(back)
    if link.remote_id is None:
        return _decide_unlinked(mapping, link, row)
    if any(_never_seen(link, each.column) for each in mapping.fields):
        return Look(link)
    return make_update(mapping, link, row)


def is_settled(mapping: EntityMapping, link: Link, row: Row | None) -> bool:
    """Whether ``decide`` is sure to find nothing to do or to remember, whatever the log has said meanwhile."""
    if row is None or link.deleted or link.row_gone or link.row_kept or link.held or link.due is not None:
        return False
    decision = decide(mapping, link, row, Trigger())
    return isinstance(decision, Nothing) and decision.link is link and not decision.bad


def _decide_unlinked(mapping: EntityMapping, link: Link, row: Row) -> Decision:
    if is_left_alone(mapping, link, row):
        return Nothing(link)
    link = take_up(link)
    return Find(link) if not link.refused or compute_patch(mapping, link, row).columns else Nothing(link)


def _never_seen(link: Link, column: str) -> bool:
    return column not in link.base.remote and column not in link.refused_inward and column not in link.held


def _decide_absent(mapping: EntityMapping, link: Link) -> Decision:
    if link.deleted or not link.row_gone:
        return Nothing(link)
    gone = replace(link.buried(), revision=link.revision + 1)
    if link.remote_id is None or mapping.deletes_out is Deletes.IGNORE:
        return Nothing(gone)
    if mapping.deletes_out is Deletes.MARK and mapping.mark_out is not None:
        return Make(link, Call.UPDATE, {mapping.mark_out.name: mapping.mark_out.value})
    return Make(link, Call.DELETE)


def begin_again(link: Link, row: Row | None, token: str) -> Link | None:
    """The link of the next generation, where a key whose record was deleted is used again."""
    if row is None or not link.deleted or link.row_kept or link.attempt is not None:
        return None
    return Link(link.record, link.system, token, generation=link.generation + 1, revision=link.revision + 1)


def make_update(mapping: EntityMapping, link: Link, row: Row) -> Nothing | Make:
    """The update that brings the remote to the row, for a linked record."""
    patch = compute_patch(mapping, link, row)
    link = _note_bad(_agree(link, patch.agreed), patch.bad)
    if not patch.columns:
        return Nothing(link, patch.bad)
    saw = {column: link.base.remote.get(column) for column in patch.columns}
    return Make(link, Call.UPDATE, patch.paths, patch.columns, saw, patch.bad)


def make_create(mapping: EntityMapping, link: Link, row: Row) -> Nothing | Make:
    """The create of a record that has no remote object; nothing where all that it has was refused."""
    patch = compute_patch(mapping, link, row)
    link = _note_bad(link, patch.bad)
    if link.refused and not patch.columns:
        return Nothing(link, patch.bad)
    paths = {path: value for path, value in patch.paths.items() if value is not None}
    return Make(link, Call.CREATE, paths, patch.columns, {}, patch.bad)


def compute_patch(mapping: EntityMapping, link: Link, row: Row) -> Patch:
    """What the row has that the remote was not told: each column that differs from the row's own base."""
    columns: dict[str, Value] = {}
    paths: dict[str, Value] = {}
    agreed: dict[str, Value] = {}
    bad: list[BadValue] = []
    for each in mapping.fields:
        value = row.values.get(each.column)
        if not _to_send(each, link, value):
            continue
        try:
            sent = each.transform.outward(value)
        except ValueError as error:
            bad.append(BadValue(each.column, value, str(error)))
            continue
        if link.remote_id is not None and each.column in link.base.remote and sent == link.base.remote[each.column]:
            agreed[each.column] = value
        else:
            columns[each.column] = value
            paths[each.path] = sent
    return Patch(columns, paths, agreed, tuple(bad))


def needs_nothing(mapping: EntityMapping, link: Link, row: Row) -> bool:
    """Whether the row, as it is now, asks nothing of the remote: only then a change may carry its marker."""
    return link.attempt is None and not any(
        _to_send(each, link, row.values.get(each.column)) for each in mapping.fields
    )


def _to_send(each: FieldMap, link: Link, value: Value) -> bool:
    if not each.goes_out or each.column in link.held:
        return False
    if link.base.row.get(each.column, _MISSING) == value:
        return False
    return link.refused.get(each.column, _MISSING) != value


def _agree(link: Link, agreed: Values) -> Link:
    if not agreed:
        return link
    return replace(link, base=replace(link.base, row={**link.base.row, **agreed}))


def _note_bad(link: Link, bad: tuple[BadValue, ...]) -> Link:
    return replace(link, refused={**link.refused, **{b.column: b.value for b in bad}}) if bad else link


# ------------------------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Taken:
    """What an answer means."""

    merge: Merge
    delete_row: bool = False
    mark_row: bool = False
    retire: str | None = None
    """A remote id that is gone for good."""
    born: bool = False
    """The record has its remote object now: whoever waits for that is woken."""


def take_answer(
    mapping: EntityMapping, link: Link, row: Row | None, effect: RemoteObject, current: Answer, *, stale: bool
) -> Taken:
    """Take in what the link's attempt did.

    ``effect`` is what the remote answered for what we sent; ``current`` a picture of the object that is sure to be no
    older than the call: the same answer, or, where that was a replay or the fate was read (``stale``), a new one.
    """
    attempt = link.attempt
    assert attempt is not None, "the caller holds the attempt's link"
    done = replace(link, attempt=None, due=None, remote_id=link.remote_id or effect.id, revision=link.revision + 1)
    if current.object.gone or (attempt.call is Call.UPDATE and not attempt.columns):
        return _taken_gone(mapping, done, row, attempt)
    answered = mapping.read(effect.document)
    base_row, base_remote = dict(done.base.row), dict(done.base.remote)
    for column, value in attempt.columns.items():
        base_row[column], base_remote[column] = value, answered[column]
    ours = {column: (*done.ours.get(column, ())[1 - MOST_OWN_KEYS :], attempt.key) for column in attempt.columns}
    told = replace(done, base=Base(base_row, base_remote), ours={**done.ours, **ours})
    merge = observe(
        mapping,
        told,
        row,
        mapping.read(current.object.document),
        current.window,
        found_in="answer",
        patched=() if stale else attempt.columns.keys(),
    )
    return Taken(merge, born=attempt.call is Call.CREATE)


def _taken_gone(mapping: EntityMapping, link: Link, row: Row | None, attempt: Attempt) -> Taken:
    """The object is gone (or, for ``mark``, counts as gone): by our deletion, or before our update reached it."""
    if attempt.call is Call.DELETE or (attempt.call is Call.UPDATE and not attempt.columns):
        return Taken(Merge(link.buried()), retire=link.remote_id)
    lost = Conflict(link.record, link.system, "", dict(attempt.columns), None, link.system, "deletion")
    return taken_away(mapping, link, row, (lost,))


def taken_away(mapping: EntityMapping, link: Link, row: Row | None, conflicts: tuple[Conflict, ...] = ()) -> Taken:
    """The remote deleted its object: what becomes of the row. Edits that were not sent yet lose, and are kept."""
    if row is not None and not conflicts and mapping.deletes_in is Deletes.PROPAGATE:
        lost = compute_patch(mapping, link, row).columns
        conflicts = (Conflict(link.record, link.system, "", dict(lost), None, link.system, "deletion"),) if lost else ()
    kept = row is not None and mapping.deletes_in is not Deletes.PROPAGATE
    link = replace(link.buried(), row_kept=kept, revision=link.revision + 1)
    return Taken(
        Merge(link, conflicts=conflicts),
        delete_row=row is not None and mapping.deletes_in is Deletes.PROPAGATE,
        mark_row=row is not None and mapping.deletes_in is Deletes.MARK,
        retire=link.remote_id,
    )


def call_refused(mapping: EntityMapping, link: Link, path: str | None) -> Link:
    """The remote will never take this attempt: the refused values are left out until they change.

    Where the refusal names a field of the patch, that one; else all of the patch. A refused deletion ends the link.
    """
    attempt = link.attempt
    assert attempt is not None, "the caller holds the attempt's link"
    free = replace(link, attempt=None, due=None, revision=link.revision + 1)
    if not attempt.columns:
        return free.buried()
    named = {
        each.column: attempt.columns[each.column]
        for each in mapping.fields
        if each.column in attempt.columns and path is not None and _covers(path, each.path)
    }
    return replace(free, refused={**free.refused, **(named or attempt.columns)})


def _covers(named: str, path: str) -> bool:
    """Whether a refusal that names ``named`` speaks of ``path``: the same, its parent, or a part of it."""
    return named == path or path.startswith(named + ".") or named.startswith(path + ".")
