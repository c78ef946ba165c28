"""What one record would cost, on pictures alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bothways.flow.backfill import in_order
from bothways.flow.planned import EXAMPLES, Bucket, PairPlan
from bothways.flow.planning import Foreseen
from bothways.flow.scanning import Scan
from bothways.model.link import Base, Call, Link, Window
from bothways.model.record import RecordId, RemoteObject, Row
from bothways.model.remote import Answer
from bothways.model.values import Value, Values
from bothways.sync.mapping import EntityMapping, FieldMap, Ways

MAPPING = EntityMapping(
    "customer",
    "stripe",
    "customer",
    (
        FieldMap("name", "name"),
        FieldMap("phone", "phone", wins="stripe"),
        FieldMap("tier", "metadata.tier", ways=Ways.OUT),
    ),
    id_column="stripe_id",
)
RECORD = RecordId("customer", '{"id":1}')


@dataclass
class Allowed:
    """``Limits`` that refuse what they are told to."""

    call: Mapping[str, str] = field(default_factory=dict)
    row: Mapping[str, str] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()

    def of_call(self, call: Call, patch: Values) -> Mapping[str, str]:
        return {path: reason for path, reason in self.call.items() if path in patch}

    def of_row(self, values: Values) -> Mapping[str, str]:
        return {column: reason for column, reason in self.row.items() if column in values}

    def missing(self, values: Values) -> Mapping[str, str]:
        return {column: "not null" for column in self.needed if values.get(column) is None}

    def filled(self) -> Collection[str]:
        return self.defaults


def answer(**document: Value) -> Answer:
    """A picture of the object."""
    return Answer(RemoteObject("cus_1", document=document), Window(10, 11))


def row(**values: Value) -> Row:
    """The row, as it is unless said otherwise."""
    return Row(RECORD.key, {"name": "Ada", "phone": None, "tier": None, "stripe_id": "cus_1", **values})


def merged(shown: Row, seen: Answer, link: Link | None = None, limits: Allowed | None = None) -> PairPlan:
    """What it costs that they meet."""
    plan = PairPlan("customer", "stripe")
    known = link or Link(RECORD, "stripe", "token", remote_id="cus_1")
    Foreseen(MAPPING, plan, limits or Allowed()).merge(known, shown, shown, seen, found_in="linking")
    return plan


def test_equal_sides_cost_nothing() -> None:
    """But for the row's own column that is to hold the id."""
    plan = merged(row(), answer(name="Ada"))
    assert (plan.rows_updated.count, plan.objects_updated.count, plan.conflicts) == (0, 0, {})
    assert merged(row(stripe_id=None), answer(name="Ada")).rows_updated.count == 1


def test_conflicts_name_their_winner_and_cost_one_write() -> None:
    """The database's name goes out, Stripe's phone comes in."""
    plan = merged(row(phone="+1"), answer(name="Eve", phone="+2"))
    assert {winner: bucket.count for winner, bucket in plan.conflicts.items()} == {"database": 1, "stripe": 1}
    assert plan.objects_updated.examples == [f"{RECORD}: name"]
    assert plan.rows_updated.examples == [f"{RECORD}: phone"]


def test_what_a_link_knows_already_costs_nothing() -> None:
    """The base tells: nobody has changed anything since."""
    base = Base({"name": "Ada", "phone": None, "tier": None}, {"name": "ADA", "phone": None, "tier": None})
    link = Link(RECORD, "stripe", "token", remote_id="cus_1", base=base)
    plan = merged(row(), answer(name="ADA"), link)
    assert (plan.rows_updated.count, plan.objects_updated.count, plan.conflicts) == (0, 0, {})


def test_refused_values_are_left_out_of_either_write() -> None:
    """Where nothing else is left to write, there is no write; each is a dead letter. What stays in the row goes out."""
    here, there = row(name="x", phone="+1"), answer(name="Eve", phone="+2")
    plan = merged(here, there, limits=Allowed({"name": "n"}, {"phone": "p"}))
    assert (plan.rows_updated.count, plan.objects_updated.count, plan.dead_letters) == (0, 1, 2)
    plan = merged(here, there, limits=Allowed({"name": "n", "phone": "p"}, {"phone": "p"}))
    assert (plan.rows_updated.count, plan.objects_updated.count, plan.dead_letters) == (0, 0, 3)
    assert plan.refused.count == 3


def test_a_new_row_needs_what_is_not_null() -> None:
    """An object without it is left out, and for people."""
    for limits, created in ((Allowed(), 1), (Allowed(needed=("name",)), 0), (Allowed(row={"phone": "long"}), 1)):
        plan = PairPlan("customer", "stripe")
        made = Foreseen(MAPPING, plan, limits).insert(RemoteObject("cus_1", document={"phone": "+1"}))
        assert (made, plan.rows_created.count) == (bool(created), created)
        assert plan.dead_letters == (1 if limits.needed or limits.row else 0)


def test_what_the_database_fills_in_goes_out_again() -> None:
    """Of columns that only go out: the others are agreed upon with the insert. A row that cannot be made has none."""
    for limits, updates in (
        (Allowed(defaults=("tier", "phone")), ["cus_1: tier, by the columns' defaults"]),
        (Allowed(defaults=("phone", "id")), []),
        (Allowed(defaults=("tier",), needed=("name",)), []),
    ):
        plan = PairPlan("customer", "stripe")
        Foreseen(MAPPING, plan, limits).insert(RemoteObject("cus_1", document={"phone": "+1"}))
        assert plan.objects_updated.examples == updates


def test_a_new_object_is_made_of_what_would_be_taken() -> None:
    """Also of an empty row; not of one whose every value is refused."""
    everything = {"name": "n", "phone": "p", "metadata.tier": "t"}
    full = row(phone="+1", tier="gold", stripe_id=None)
    for limits, shown, created in (
        (Allowed(), full, 1),
        (Allowed({"name": "n"}), full, 1),
        (Allowed(everything), full, 0),
        (Allowed(), row(name=None), 1),
    ):
        plan = PairPlan("customer", "stripe")
        assert Foreseen(MAPPING, plan, limits).create(Link(RECORD, "stripe", "t"), shown) == bool(created)
        assert (plan.objects_created.count, plan.rows_updated.count) == (created, created)


def test_a_bucket_keeps_few_examples_of_many() -> None:
    """The count goes on."""
    bucket = Bucket()
    for each in range(10):
        bucket.add(str(each))
    assert (bucket.count, bucket.examples) == (10, ["0", "1", "2"][:EXAMPLES])


def test_a_scan_finds_by_values_and_forgets_none() -> None:
    """An object that has changed is found by what it showed first and last: whoever asks looks at it again."""
    scan = Scan(["email"])
    assert scan.add(RemoteObject("cus_1", document={"email": "a"}))
    assert not scan.add(RemoteObject("cus_1", document={"email": "b"}))
    assert scan.add(RemoteObject("cus_2", document={"email": "b"}))
    assert [list(scan.find({"email": value})) for value in ("a", "b", "c")] == [["cus_1"], ["cus_1", "cus_2"], []]


def test_what_is_pointed_to_comes_first() -> None:
    """As far as that is possible: two that point to each other come in some order."""
    invoice = EntityMapping("invoice", "s", "invoice", (FieldMap("customer_id", "customer", ref="customer"),))
    customer = EntityMapping("customer", "s", "customer", (FieldMap("last", "last", ref="invoice"),))
    plain = EntityMapping("customer", "s", "customer", (FieldMap("name", "name"),))
    assert in_order({("invoice", "s"): invoice, ("customer", "s"): plain}) == [("customer", "s"), ("invoice", "s")]
    assert set(in_order({("invoice", "s"): invoice, ("customer", "s"): customer})) == {
        ("invoice", "s"),
        ("customer", "s"),
    }
