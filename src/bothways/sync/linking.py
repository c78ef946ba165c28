"""Which row is which object: the rules of linking, as decisions on what was found on either side.

In this order: a column of the user's that holds the remote id; our mark, if it names this installation and a link that
exists; the fields to match on, one unlinked counterpart only; else a new record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto

from bothways.model.link import Link
from bothways.model.record import RecordId, Row
from bothways.model.values import Value, Values
from bothways.sync.mapping import EntityMapping

MOST_CANDIDATES = 5
"""So many counterparts are looked at: with two that are free it is clear already that none is the one."""


class Rule(StrEnum):
    """What a row and an object were known by."""

    ID_COLUMN = "id column"
    MARK = "mark"
    MATCH = "match_on"


class Standing(Enum):
    """Whether a row may still get an object."""

    FREE = auto()
    CALLING = auto()
    """A call is under way that may make one."""
    TAKEN = auto()


def standing(link: Link | None) -> Standing:
    """The standing of the row with this link, or with none."""
    if link is None:
        return Standing.FREE
    if link.attempt is not None:
        return Standing.CALLING
    return Standing.FREE if link.remote_id is None or (link.deleted and not link.row_kept) else Standing.TAKEN


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may be the counterpart of an object."""

    row: Row
    standing: Standing
    linked_to: str | None = None
    """The remote id, where it is taken."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """This row it is."""

    row: Row
    rule: Rule


@dataclass(frozen=True, slots=True)
class New:
    """None of them: the object becomes a row of its own. ``ambiguous``: since several could be meant."""

    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """It belongs to a row that takes no part, so it takes none either."""


@dataclass(frozen=True, slots=True)
class Waits:
    """A call is under way for its row, or somebody has just linked the two: look at it anew."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """Linking it would be wrong, and so would a new record: somebody has to look."""

    reason: str
    hint: str


RowChoice = Adopt | New | LeftOut | Waits | Impossible


def names(mapping: EntityMapping, row: Row) -> str | None:
    """The remote id that the row holds in the user's own column."""
    value = row.values.get(mapping.id_column) if mapping.id_column else None
    return value if isinstance(value, str) and value else None


def match_of_object(mapping: EntityMapping, document: Values) -> dict[str, Value]:
    """Column → value of the rows that match this object; empty where it has nothing to be matched by."""
    seen = mapping.read(document)
    try:
        return _complete({c: mapping.by_column[c].transform.inward(seen[c]) for c in mapping.match_on})
    except ValueError:
        return {}


def match_of_row(mapping: EntityMapping, row: Row) -> dict[str, Value]:
    """Path → value of the objects that match this row; empty where it has nothing to be matched by."""
    fields = [mapping.by_column[column] for column in mapping.match_on]
    try:
        return _complete({each.path: each.transform.outward(row.values.get(each.column)) for each in fields})
    except ValueError:
        return {}


def _complete(equal: dict[str, Value]) -> dict[str, Value]:
    return {} if any(value is None or value == "" for value in equal.values()) else equal


def choose_row(mapping: EntityMapping, rule: Rule, candidates: Sequence[Candidate], remote_id: str) -> RowChoice | None:
    """What the rows that one rule has found mean for an object; None: nothing, look by the next rule."""
    part = [each for each in candidates if each.row.takes_part]
    if not part:
        return LeftOut() if candidates else None
    if any(each.standing is Standing.CALLING or each.linked_to == remote_id for each in part):
        return Waits()
    free = [each for each in part if each.standing is Standing.FREE and _may_be(mapping, each.row, remote_id)]
    if len(free) == 1:
        return Adopt(free[0].row, rule)
    if not free:
        return _taken(mapping, part[0], remote_id)
    if rule is Rule.MATCH:
        return New(ambiguous=True)
    keys = " and ".join(str(RecordId(mapping.entity, each.row.key)) for each in free[:2])
    return Impossible(f"{keys} both name {remote_id}", f"leave the id in {mapping.id_column} of one row only")


def _may_be(mapping: EntityMapping, row: Row, remote_id: str) -> bool:
    """A row that names another object is that one's, whether they are linked yet or not."""
    return names(mapping, row) in (None, remote_id)


def _taken(mapping: EntityMapping, candidate: Candidate, remote_id: str) -> Impossible:
    record = RecordId(mapping.entity, candidate.row.key)
    if candidate.linked_to is None:
        named = names(mapping, candidate.row)
        return Impossible(
            f"{remote_id} matches {record}, which names {named}",
            f"make the two objects one, or correct {mapping.id_column}, or change the field that they are matched on",
        )
    return Impossible(
        f"{remote_id} matches {record}, which is linked to {candidate.linked_to} already",
        "make the two objects one, or change the field that they are matched on",
    )


# ------------------------------------------------------------------------------------------------ from the row's side


@dataclass(frozen=True, slots=True)
class Counterpart:
    """An object that may be a row's counterpart."""

    id: str
    gone: bool = False
    ours: bool = False
    """It carries the mark of this very link."""
    owner: RecordId | None = None
    """The other record that it belongs to, or is being made for."""


@dataclass(frozen=True, slots=True)
class AdoptObject:
    """This object it is."""

    id: str
    rule: Rule


ObjectChoice = AdoptObject | New | Impossible


def choose_object(
    record: RecordId, system: str, counterparts: Sequence[Counterpart], *, named: str | None
) -> ObjectChoice:
    """What the objects that were found mean for a row without one. ``named``: the id that the row holds."""
    for each in counterparts:
        if each.gone and named is not None:
            return Impossible(
                f"{record} names {each.id}, which is not at {system}",
                "put the right id into the column, or empty it so that a new one is made",
            )
        if each.ours and not each.gone:
            return AdoptObject(each.id, Rule.MARK)
    alive = [each for each in counterparts if not each.gone]
    free = [each for each in alive if each.owner is None]
    if len(free) == 1:
        return AdoptObject(free[0].id, Rule.ID_COLUMN if named is not None else Rule.MATCH)
    if free or not alive:
        return New(ambiguous=bool(free))
    ids, owner = ", ".join(each.id for each in alive), alive[-1].owner
    return Impossible(
        f"{record} matches {ids}, which is linked to {owner} already",
        "make the two rows one, or change the field that they are matched on",
    )


_WHOLE = ""
"""Among what a link has refused: the record as a whole, with the id that its row named. No column has this name."""


def leave_alone(mapping: EntityMapping, link: Link, row: Row) -> Link:
    """The link of a row that cannot have an object as it is; it is looked at again when one of its values changes."""
    refused = {each.column: row.values.get(each.column) for each in mapping.fields}
    return replace(link, refused={**refused, _WHOLE: names(mapping, row)}, due=None, revision=link.revision + 1)


def is_left_alone(mapping: EntityMapping, link: Link, row: Row) -> bool:
    """Whether the row is still as it was when it was left alone."""
    return _WHOLE in link.refused and link.refused == leave_alone(mapping, link, row).refused


def take_up(link: Link) -> Link:
    """The link of a row that is no longer left alone: none of its values was refused by itself."""
    return replace(link, refused={}) if _WHOLE in link.refused else link


# ------------------------------------------------------------------------------------------------------------ new rows


@dataclass(frozen=True, slots=True)
class NewRow:
    """The row that an object becomes."""

    values: Values
    refused: Mapping[str, str] = field(default_factory=dict)
    """Column → why its value has no counterpart."""


def new_row(mapping: EntityMapping, document: Values, remote_id: str) -> NewRow:
    """All that the object has for a row; what it has not is left to the column's default."""
    seen = mapping.read(document)
    values: dict[str, Value] = {}
    refused: dict[str, str] = {}
    for each in mapping.fields:
        if not each.comes_in or seen[each.column] is None:
            continue
        try:
            values[each.column] = each.transform.inward(seen[each.column])
        except ValueError as error:
            refused[each.column] = str(error)
    if mapping.id_column:
        values[mapping.id_column] = remote_id
    return NewRow(values, refused)
