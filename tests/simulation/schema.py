"""The tables and objects of a history, as its plan asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bothways.model.values import Value
from bothways.sync.mapping import DATABASE as DATABASE_WINS
from bothways.sync.mapping import LATEST, Deletes, EntityMapping, FieldMap, MarkColumn, Ways
from tests.simulation.database import Table
from tests.simulation.lineage import REFUSED_HERE, REFUSED_THERE
from tests.simulation.plan import Plan

CUSTOMER, INVOICE = "customer", "invoice"
PATHS = {
    "a": "a",
    "b": "nested.b",
    "c": "c",
    "d": "metadata.d",
    "e": "metadata.e",
    "mail": "mail",
    "t": "nested.t",
    "customer_id": "customer",
}
WINS = {"stripe": {"b": "stripe"}, "salesforce": {"d": "salesforce"}}
LEFT = "left"
"""What a row or object says that was marked instead of deleted."""
MARK_PATH = "metadata.state"


@dataclass(frozen=True, slots=True)
class Kind:
    """One entity; its objects go by the same name."""

    entity: str
    table: Table
    edited: tuple[str, ...]
    """Columns that people write, each time a value that nobody wrote before."""
    mappings: Mapping[str, EntityMapping]


def id_column(system: str) -> str:
    """The column that holds the remote id."""
    return f"{system}_id"


def mark_column(system: str) -> str:
    """The column that says that the object is gone."""
    return f"{system}_state"


def kinds(plan: Plan) -> dict[str, Kind]:
    """All that there is in such a history."""
    found = {CUSTOMER: _customer(plan)}
    if plan.references:
        found[INVOICE] = _invoice(plan)
    return found


def wins(plan: Plan) -> dict[str, str]:
    """Column → the remote that wins it."""
    return {column: name for name in plan.remotes for column, name in WINS[name].items()}


def _check(plan: Plan) -> Callable[[str, Value], str | None]:
    def check(column: str, value: Value) -> str | None:
        ugly = plan.refusing and isinstance(value, str) and value.startswith(REFUSED_HERE)
        return f"the check of {column} refuses {value!r}" if ugly else None

    return check


def _derive(row: dict[str, Value]) -> None:
    """``d`` is trimmed and ``e`` is made by a trigger."""
    row["d"] = str(row["d"]).strip() if row["d"] is not None else None
    row["e"] = f"from {row['b']}"


def _customer(plan: Plan) -> Kind:
    edited = ("a", "b", "c", "d")
    mail = ("mail",) if plan.matching else ()
    extra = [id_column(name) for name in plan.remotes] if plan.id_column else []
    extra += [mark_column(name) for name, (_, inward) in plan.deletes.items() if inward is Deletes.MARK]
    columns = ("id", *edited, "e", *mail, *extra)
    table = Table(columns, unique=mail, check=_check(plan), derive=_derive)
    mappings: dict[str, EntityMapping] = {}
    for name in plan.remotes:
        policy = {**WINS[name], **({"a": LATEST} if plan.latest else {})}
        fields = [FieldMap(c, PATHS[c], wins=policy.get(c, DATABASE_WINS)) for c in (*edited, *mail)]
        outward, inward = plan.deletes.get(name, (Deletes.PROPAGATE, Deletes.PROPAGATE))
        mappings[name] = EntityMapping(
            CUSTOMER,
            name,
            CUSTOMER,
            (*fields, FieldMap("e", PATHS["e"], ways=Ways.OUT)),
            id_column=id_column(name) if plan.id_column else None,
            match_on=mail,
            deletes_out=outward,
            deletes_in=inward,
            mark_out=MarkColumn(MARK_PATH, LEFT) if outward is Deletes.MARK else None,
            mark_in=MarkColumn(mark_column(name), LEFT) if inward is Deletes.MARK else None,
        )
    return Kind(CUSTOMER, table, edited, mappings)


def _invoice(plan: Plan) -> Kind:
    fields = (FieldMap("t", PATHS["t"]), FieldMap("customer_id", PATHS["customer_id"], ref=CUSTOMER))
    mappings = {name: EntityMapping(INVOICE, name, INVOICE, fields) for name in plan.remotes}
    return Kind(INVOICE, Table(("id", "t", "customer_id")), ("t",), mappings)


def normalise(path: str, value: Value) -> Value:
    """What a remote makes of what it is sent."""
    if isinstance(value, str) and path == "c":
        return value.strip().lower()
    return None if value == "" else value


def refuses(path: str, value: Value) -> str | None:
    """What a remote that refuses values says."""
    bad = isinstance(value, str) and value.startswith(REFUSED_THERE)
    return f"invalid {path}: {value!r}" if bad else None
