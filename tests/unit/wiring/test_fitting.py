"""Settings against tables and objects: default transforms, and refusals with their lines."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bothways.connectors.postgres.tables import Column, Identity, TableDescription
from bothways.connectors.postgres.values import Kind, ValueType
from bothways.model.errors import SettingsError
from bothways.model.values import Value
from bothways.sync.mapping import Deletes, EntityMapping, MarkColumn
from bothways.sync.transforms import AS_IS, MINOR_UNITS, TEXT_BOOLEAN, TEXT_INTEGER, UNIX_SECONDS
from bothways.wiring.fitting import fit, table_maps
from bothways.wiring.kinds import kinds
from tests.unit.config.writing import line_of, read

HEAD = """\
[catalogue]
url = "postgresql:///shop"
[systems.stripe]
api_key = "sk_test_1"
[entities.customer]
table = "customers"
"""
TYPES = {
    "id": ("bigint", Kind.INTEGER, False),
    "name": ("text", Kind.TEXT, True),
    "email": ("character varying(40)", Kind.TEXT, True),
    "points": ("integer", Kind.INTEGER, False),
    "active": ("boolean", Kind.BOOLEAN, False),
    "since": ("timestamp with time zone", Kind.TIMESTAMPTZ, False),
    "born": ("date", Kind.TEXT, False),
    "total": ("numeric", Kind.TEXT, False),
    "ratio": ("double precision", Kind.FLOAT, False),
    "uid": ("uuid", Kind.TEXT, False),
    "tags": ("text[]", Kind.ARRAY, False),
    "extra": ("jsonb", Kind.JSON, False),
    "stripe_id": ("text", Kind.TEXT, True),
    "upper_name": ("text", Kind.TEXT, True),
    "status": ("text", Kind.TEXT, True),
    "parent_id": ("bigint", Kind.INTEGER, False),
}


def column(name: str, *, nullable: bool = True, has_default: bool = False) -> Column:
    """A column of the table that these tests know."""
    type_name, kind, textual = TYPES[name]
    return Column(
        name=name,
        type_name=type_name,
        cast=type_name.partition("(")[0],
        type=ValueType(kind),
        nullable=nullable and name != "id",
        has_default=has_default or name in ("id", "upper_name"),
        computed=False,
        generated=name in ("id", "upper_name"),
        textual=textual,
        length=None,
    )


def table(*changed: Column, key: tuple[str, ...] = ("id",)) -> TableDescription:
    """That table, with some columns changed."""
    columns = {name: column(name) for name in TYPES} | {each.name: each for each in changed}
    return TableDescription(
        entity="customer",
        oid=16384,
        schema="public",
        name="customers",
        columns=columns,
        key=key,
        identity=Identity.DEFAULT,
        identity_columns=key,
        constraints={},
        has_after_triggers=False,
        has_deferred=False,
    )


def mapping(folder: Path, fields: str, *changed: Column, more: str = "", head: str = "") -> EntityMapping:
    """The mapping of these fields."""
    mapped = f'[entities.customer.stripe]\nobject = "customer"\n{more}[entities.customer.stripe.fields]\n{fields}'
    text = f"{HEAD}{head}{mapped}"
    return fit(read(folder, text), {"customer": table(*changed)}, kinds()).mappings["customer", "stripe"]


@pytest.mark.parametrize(
    ("field", "transform"),
    [
        ('name = "name"', AS_IS),
        ('email = "email"', AS_IS),
        ('uid = "metadata.uid"', AS_IS),
        ('total = "metadata.total"', AS_IS),
        ('points = "metadata.points"', TEXT_INTEGER),
        ('active = "metadata.active"', TEXT_BOOLEAN),
        ('points = "balance"', AS_IS),
        ('total = { field = "balance", transform = "minor_units" }', MINOR_UNITS),
        ('tags = "preferred_locales"', AS_IS),
        ('extra = "preferred_locales"', AS_IS),
        ('since = { field = "created", direction = "in" }', UNIX_SECONDS),
        ('born = { field = "created", direction = "in" }', UNIX_SECONDS),
        ('points = { field = "created", direction = "in" }', AS_IS),
        ('since = "metadata.since"', AS_IS),
        ('extra = "address"', AS_IS),
    ],
)
def test_the_transform_follows_from_the_types(tmp_path: Path, field: str, transform: object) -> None:
    """Whoever maps a column to a field need not say how where there is one way."""
    (found,) = mapping(tmp_path, field).fields
    assert found.transform is transform


REFUSED = [
    ('nam = "name"', 'customers has no column "nam"; did you mean "name"?'),
    ('name = "nmae"', "Stripe's customer has no field 'nmae' (did you mean name"),
    ('total = "balance"', 'transform = "minor_units" if the column holds an amount'),
    ('active = "balance"', "the column is boolean, the field integer"),
    ('extra = "name"', "the column is jsonb, the field text"),
    ('ratio = "metadata.ratio"', 'transform = { outward = "module:function"'),
    ('since = "created"', 'created can only be read; write direction = "in"'),
    ('upper_name = "name"', 'the database alone writes this column; write direction = "out"'),
    ('name = { field = "name", transform = { outward = "no.such:f", inward = "no.such:g" } }', "cannot be imported"),
    ('name = { field = "name", transform = { outward = "json:nope", inward = "json:loads" } }', "has no nope"),
    (
        'extra = { field = "balance", transform = "minor_units" }',
        "minor_units cannot work between the column, which is",
    ),
    ('tags = { field = "metadata.tags", transform = "text" }', "text cannot work between the column, which is text[]"),
    ('points = { field = "metadata.at", transform = "unix_seconds" }', "which is integer, and the field, text; map"),
    ('name = { field = "address", transform = "text" }', "and the field, hash"),
    ('name = "metadata"', "metadata of Stripe's customer is mapped by its keys"),
]


@pytest.mark.parametrize(("field", "says"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_cannot_be_mapped_is_refused_with_its_line(tmp_path: Path, field: str, says: str) -> None:
    """The message stands at the field's line and says what to write."""
    with pytest.raises(SettingsError) as refused:
        mapping(tmp_path, field)
    text = (tmp_path / "bothways.toml").read_text()
    assert f"bothways.toml:{line_of(text, field)}: entities.customer.stripe.fields" in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ('since = { field = "metadata.since", transform = "unix_seconds" }', "2020-05-30T00:00:00Z", "1590796800"),
        ('total = { field = "metadata.total", transform = "minor_units" }', "10.05", "1005"),
        ('active = { field = "metadata.active", transform = "text_boolean" }', True, "true"),
        ('points = { field = "metadata.points", transform = "text_integer" }', 7, "7"),
        ('total = { field = "metadata.total", transform = "text" }', "10.05", "10.05"),
    ],
)
def test_every_transform_goes_both_ways_through_metadata(tmp_path: Path, field: str, value: Value, text: str) -> None:
    """Metadata is always text: that is what is sent, and what is understood."""
    (found,) = mapping(tmp_path, field).fields
    assert found.transform.outward(value) == text
    assert found.transform.inward(text) == value


def test_functions_of_the_user_stand_beside_the_settings(tmp_path: Path) -> None:
    """They are imported from there, and the path is as it was afterwards."""
    (tmp_path / "shop_rules.py").write_text("def out(v):\n    return v.upper()\n\ndef back(v):\n    return v.lower()\n")
    before = list(sys.path)
    pair = '{ outward = "shop_rules:out", inward = "shop_rules:back" }'
    (found,) = mapping(tmp_path, f'name = {{ field = "name", transform = {pair} }}').fields
    assert (found.transform.outward("Ada"), found.transform.inward("ADA")) == ("ADA", "ada")
    assert sys.path == before


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('id_column = "stripe_idd"\n', 'has no column "stripe_idd"; did you mean "stripe_id"?'),
        ('id_column = "points"\n', "is integer; it has to hold text"),
        ('mark = { field = "nmae", value = 1 }\n', "has no field 'nmae'"),
        ('mark = { field = "created", value = 1 }\n', "created can only be read"),
    ],
)
def test_id_columns_and_marks_have_to_be_there(tmp_path: Path, more: str, says: str) -> None:
    """And have to hold what they are for."""
    with pytest.raises(SettingsError) as refused:
        mapping(tmp_path, 'name = "name"', more=more)
    assert says in str(refused.value)


def test_an_id_column_has_to_be_nullable(tmp_path: Path) -> None:
    """A row is there before its object is."""
    with pytest.raises(SettingsError, match="has to be nullable"):
        mapping(tmp_path, 'name = "name"', column("stripe_id", nullable=False), more='id_column = "stripe_id"\n')


def test_an_object_is_what_the_connector_knows(tmp_path: Path) -> None:
    """A name that is none is said once, not for each field."""
    text = HEAD + '[entities.customer.stripe]\nobject = "custmer"\nfields = { name = "name", email = "email" }\n'
    with pytest.raises(SettingsError) as refused:
        fit(read(tmp_path, text), {"customer": table()}, kinds())
    assert 'there is no object "custmer" there; did you mean "customer"?' in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_new_rows_need_a_value_in_every_column(tmp_path: Path) -> None:
    """A column that is not null needs a default or a field that fills it; where nothing comes in, it matters not."""
    status = column("status", nullable=False)
    mend = re.escape('ALTER TABLE "public"."customers" ALTER COLUMN "status" SET DEFAULT')
    with pytest.raises(SettingsError, match=f"status is not null and has no default, .*{mend}"):
        mapping(tmp_path, 'name = "name"', status)
    assert mapping(tmp_path, 'name = "name"\nstatus = "metadata.status"', status).fields
    assert mapping(tmp_path, 'name = "name"', column("status", nullable=False, has_default=True)).fields
    assert mapping(tmp_path, 'name = { field = "name", direction = "out" }', status).fields


def test_a_reference_holds_the_key_of_what_it_points_to(tmp_path: Path) -> None:
    """No transform: ids are translated. A key of several columns cannot be pointed to."""
    field = 'parent_id = { field = "metadata.parent", ref = "customer" }'
    (found,) = mapping(tmp_path, field).fields
    assert (found.ref, found.ref_key, found.transform) == ("customer", "id", AS_IS)
    text = f'{HEAD}[entities.customer.stripe]\nobject = "customer"\n[entities.customer.stripe.fields]\n{field}\n'
    with pytest.raises(SettingsError, match="has a key of 2 columns"):
        fit(read(tmp_path, text), {"customer": table(key=("id", "points"))}, kinds())


def test_all_that_was_said_is_in_the_mapping(tmp_path: Path) -> None:
    """Deletions, marks, matching, the id column, and the columns that the table needs to show."""
    head = 'deletes = { in = "mark", out = "ignore" }\nmark = { column = "status", value = "gone" }\nwhere = "active"\n'
    more = 'id_column = "stripe_id"\nmatch_on = ["email"]\nmark = { field = "metadata.gone", value = "yes" }\n'
    fields = 'name = { field = "name", wins = "stripe" }\nemail = "email"\n'
    found = mapping(tmp_path, fields, more=more, head=head)
    assert (found.deletes_out, found.deletes_in) == (Deletes.IGNORE, Deletes.MARK)
    assert (found.mark_in, found.mark_out) == (MarkColumn("status", "gone"), MarkColumn("metadata.gone", "yes"))
    assert (found.id_column, found.match_on) == ("stripe_id", ("email",))
    assert found.by_column["name"].wins == "stripe"
    (needed,) = table_maps(read(tmp_path, (tmp_path / "bothways.toml").read_text()))
    assert needed.columns == {"name", "email", "stripe_id", "status"}
    assert (needed.table, needed.topic, needed.where) == ("customers", "bothways.customer", "active")
