"""What a plan says, and what it is made from besides both sides' records."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bothways.model.link import Call, Link
from bothways.model.record import RecordId
from bothways.model.values import Value, Values

EXAMPLES = 3


class KnownLinks(Protocol):
    """The links that there are, read without locks; none where there is no state yet."""

    async def of_record(self, record: RecordId, system: str) -> Link | None:
        """The record's link."""
        ...

    async def of_object(self, system: str, entity: str, remote_id: str) -> Link | None:
        """The current link of a remote object."""
        ...

    async def of_token(self, system: str, token: str) -> Link | None:
        """The link that a mark names."""
        ...

    async def is_retired(self, system: str, entity: str, remote_id: str) -> bool:
        """Whether the object is known to be gone for good."""
        ...


class Limits(Protocol):
    """What is known beforehand of the values that either side refuses. The other sides' own rules may refuse more."""

    def of_call(self, call: Call, patch: Values) -> Mapping[str, str]:
        """Remote path → why this value of a patch would be refused."""
        ...

    def of_row(self, values: Values) -> Mapping[str, str]:
        """Column → why the database would refuse this value."""
        ...

    def missing(self, values: Values) -> Mapping[str, str]:
        """Column → why a new row cannot be without it."""
        ...

    def filled(self) -> Collection[str]:
        """Columns to which the database gives a value of its own where a new row has none."""
        ...


@dataclass(slots=True)
class Bucket:
    """So many of one kind, and a few of them."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """One more."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def document(self) -> dict[str, Value]:
        """As JSON can say it."""
        return {"count": self.count, "examples": list(self.examples)}


Buckets = dict[str, Bucket]


def count(buckets: Buckets, kind: str, example: str) -> None:
    """One more of this kind."""
    buckets.setdefault(kind, Bucket()).add(example)


@dataclass(slots=True)
class PairPlan:
    """What a backfill of one entity at one system would do. Nothing is ever deleted by one."""

    entity: str
    system: str
    objects: int = 0
    rows: int = 0
    """How many of each there are."""
    linked_already: int = 0
    links: Buckets = field(default_factory=dict)
    """By rule: rows and objects that are there both."""
    rows_created: Bucket = field(default_factory=Bucket)
    rows_updated: Bucket = field(default_factory=Bucket)
    objects_created: Bucket = field(default_factory=Bucket)
    objects_updated: Bucket = field(default_factory=Bucket)
    conflicts: Buckets = field(default_factory=dict)
    """By winner."""
    left_out: Buckets = field(default_factory=dict)
    """Records that are neither linked nor made, by reason; those that are for people are dead letters, too."""
    refused: Bucket = field(default_factory=Bucket)
    """Values that would not be taken; the rest of their record goes through, unless nothing is left."""
    notes: Buckets = field(default_factory=dict)
    """What is done all the same, but should be known beforehand."""
    dead_letters: int = 0
    calls: int = 0
    seconds: float = 0.0
    """How long the calls take at the allowed rate."""

    def document(self) -> dict[str, Value]:
        """As JSON can say it."""
        return {
            "entity": self.entity,
            "system": self.system,
            "rows": {
                "read": self.rows,
                "create": self.rows_created.document(),
                "update": self.rows_updated.document(),
                "delete": {"count": 0, "examples": []},
            },
            "objects": {
                "read": self.objects,
                "create": self.objects_created.document(),
                "update": self.objects_updated.document(),
                "delete": {"count": 0, "examples": []},
            },
            "linked_already": self.linked_already,
            "links": _documents(self.links),
            "conflicts": _documents(self.conflicts),
            "left_out": _documents(self.left_out),
            "refused": self.refused.document(),
            "notes": _documents(self.notes),
            "dead_letters": self.dead_letters,
            "calls": self.calls,
            "seconds": round(self.seconds, 1),
        }


def _documents(buckets: Buckets) -> dict[str, Value]:
    return {kind: bucket.document() for kind, bucket in buckets.items()}
