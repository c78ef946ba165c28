"""Settings that cannot work: refused with the line and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import MINIMAL, line_of, refusal

CHANGES = [
    # (what is replaced, by what, the line's text that the refusal names, what the refusal says)
    ("table = ", "tabel = ", "tabel", 'tabel: there is no such setting; did you mean "table"?'),
    ("table = ", "tabel = ", "[entities.customer]", 'entities.customer.table: is needed; write table = "customers"'),
    ("[systems.stripe]", "[systms.stripe]", "[systms", 'systms: there is no such setting; did you mean "systems"?'),
    ("[catalogue]", "[catalogue]\ncaptur = 1", "captur", 'did you mean "capture"?'),
    ("[catalogue]", '[catalogue]\ncapture = "binlog"', "capture", "'log' or 'triggers'"),
    ("postgresql://", "mysql://", "url", "mysql is not there yet; PostgreSQL is"),
    ("postgresql://", "oracle://", "url", "as postgresql://user@host/database"),
    ("[catalogue]", '[catalogue]\nslot = "Not-This"', "slot", "small letters"),
    ('wins = "stripe"', 'wins = "strip"', "wins", '"strip" cannot win here; did you mean "stripe"?'),
    ('wins = "stripe"', 'wins = "salesforce"', "wins", '"salesforce" cannot win here; there is: database, latest,'),
    ('wins = "stripe"', 'drection = "in"', "drection", 'did you mean "direction"?'),
    ('wins = "stripe"', 'direction = "inn"', "inn", 'did you mean "in"?'),
    ('wins = "stripe"', 'transform = "unix_secnds"', "unix_sec", 'is no transform; did you mean "unix_seconds"?'),
    (
        'wins = "stripe"',
        'transform = { outward = "a:b" }',
        "outward",
        'or { outward = "module:f", inward = "module:g" }',
    ),
    ('wins = "stripe"', 'transform = { outward = "a", inward = "b" }', "outward", 'as "shop.sync:to_stripe"'),
    ('wins = "stripe"', 'ref = "custmer"', "ref", '"custmer" is no entity; did you mean "customer"?'),
    ('name = "name"', "name = 5", "name = 5", "must be a field's name, or a table as"),
    ('name = "name"', 'name = "email"', "wins =", 'writes what "name" writes already (email)'),
    ('name = "name"', 'name = "a..b"', "a..b", 'as "address.city"'),
    ('match_on = ["email"]', 'match_on = ["emial"]', "match_on", 'not mapped at stripe; did you mean "email"?'),
    ('match_on = ["email"]', 'match_on = "email"', "match_on", "must be a list"),
    ('match_on = ["email"]', 'id_column = "name"', 'name = "name"', "holds the object's id"),
    (
        "[entities.customer.stripe]",
        "[entities.customer.strpe]",
        "strpe]",
        'no system of that name; did you mean "stripe"?',
    ),
    ("[entities.customer]", "[entities.Customer]", "[entities.Customer]", "is no name for an entity"),
    ("[systems.stripe]", '[systems.stripe]\nkind = "salesforce"', "[systems.stripe]", "salesforce is not there yet"),
    ("[systems.stripe]", "[systems.latest]", "[systems.latest]", "is no name for a system"),
    ("[systems.stripe]", '[systems.stripe]\nrate = "fast"', "rate", "calls a second, as 25"),
    ("[systems.stripe]", '[systems.stripe]\npoll = "soon"', "poll", 'as "60s", "10m"'),
    ("[systems.stripe]", '[systems.stripe]\napi_base = "127.0.0.1"', "api_base", 'as "http://127.0.0.1:12111"'),
    ("[systems.stripe]", '[systems.stripe]\nwebhook_secrets = [""]', "webhook_secrets", "empty secret"),
    ("[systems.stripe]", '[systems.stripe]\nwebhook_secrets = ["sk_test_1"]', "webhook_secrets", "whsec_"),
    ("env:STRIPE_API_KEY", "env:NOT_SET", "env:NOT_SET", "variable NOT_SET is not set; set it: export NOT_SET=…"),
    ("env:STRIPE_API_KEY", "file:no/such", "file:no/such", "no/such cannot be read: No such file"),
    (
        "[catalogue]",
        '[http]\nlisten = "0.0.0.0:80"\n[catalogue]',
        "[http]",
        'write api_keys = ["env:BOTHWAYS_API_KEY"]',
    ),
    ("[catalogue]", '[http]\nlisten = "80"\n[catalogue]', "listen", 'as "127.0.0.1:8000"'),
    ("[catalogue]", '[log]\nurl = "redis://x"\n[catalogue]', "redis", 'must be "kafka://host:9092"'),
    ("[catalogue]", '[log]\nencoding = "avro"\n[catalogue]', "encoding", "must be 'readable' or 'debezium'"),
    ("[catalogue]", '[log.kafka]\nsecurity.protocol = "SSL"\n[catalogue]', "[log.kafka]", 'write url = "kafka://'),
    ("[catalogue]", '[views.package]\nby = "user_id"\n[catalogue]', "[views", "views are not there yet"),
    ("table = ", 'deletes = "mrk"\ntable = ', "mrk", 'must be "propagate", "mark" or "ignore"'),
    ("table = ", 'deletes = { out = "mrk" }\ntable = ', "mrk", 'did you mean "mark"?'),
    ("table = ", 'deletes = { in = "mark" }\ntable = ', "deletes", "write mark = { column ="),
    ("table = ", 'deletes = { out = "mark" }\ntable = ', "[entities.customer.stripe]", "write mark = { field ="),
    ("table = ", 'topic = "not/this"\ntable = ', "topic", "must be letters"),
    ("table = ", 'topic = "bothways.stripe.customer"\ntable = ', "topic", "the topic of what stripe reports"),
    ("[catalogue]", "[catalogue", "[catalogue", "this is no TOML"),
]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"), CHANGES, ids=[f"{new} {says[:20]}" for _, new, _, says in CHANGES]
)
def test_each_mistake_is_named_with_its_line_and_what_to_write(
    tmp_path: Path, old: str, new: str, line: str, says: str
) -> None:
    """One mistake in settings that work: its line and the way out are said."""
    assert old in MINIMAL
    text = MINIMAL.replace(old, new, 1)
    said = refusal(tmp_path, text).splitlines()
    here = [each for each in said if each.startswith(f"bothways.toml:{line_of(text, line)}: ")]
    assert any(says in each for each in here), said


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """A person puts everything right in one go, and one mistake is said once."""
    text = MINIMAL.replace("env:STRIPE_API_KEY", "env:GONE").replace("table", "tabel").replace("email =", "email2 =")
    said = refusal(tmp_path, text).splitlines()
    numbers = [int(line.split(":")[1]) for line in said]
    assert numbers == sorted(numbers)
    assert len([line for line in said if "api_key" in line]) == 1


SECOND = """
[entities.client]
table = "{table}"
[entities.client.stripe]
object = "{object}"
fields = {{ title = "description" }}
"""


def test_one_object_is_one_entity(tmp_path: Path) -> None:
    """Two entities that stand for one object of one system would both create it."""
    text = MINIMAL + SECOND.format(table="clients", object="customer")
    said = refusal(tmp_path, text)
    assert "entities.client.stripe.object: stripe's customer is the entity customer already" in said


def test_one_table_is_one_entity(tmp_path: Path) -> None:
    """With or without its default schema."""
    text = MINIMAL + SECOND.format(table="public.customers", object="product")
    assert 'entities.client.table: "public.customers" is the entity customer already' in refusal(tmp_path, text)


def test_one_remote_at_most_wins_a_field(tmp_path: Path) -> None:
    """Two remotes that both win would overwrite each other without end."""
    text = MINIMAL + (
        '[systems.other]\nkind = "stripe"\napi_key = "sk_test_2"\n'
        '[entities.customer.other]\nobject = "customer"\nfields = { email = { field = "email", wins = "other" } }\n'
    )
    assert 'stripe wins "email" already, and one remote at most may' in refusal(tmp_path, text)


def test_a_reference_needs_its_entity_at_the_same_system(tmp_path: Path) -> None:
    """Else there is no id to write."""
    text = MINIMAL + SECOND.format(table="clients", object="product").replace(
        'title = "description"', 'a = { field = "metadata.a", ref = "local" }'
    )
    text += '[entities.local]\ntable = "locals"\n'
    assert '"local" is not mapped at stripe; add [entities.local.stripe]' in refusal(tmp_path, text)


def test_settings_without_anything_say_what_is_needed(tmp_path: Path) -> None:
    """An empty file names what it lacks."""
    said = refusal(tmp_path, "")
    assert "catalogue: is needed" in said
    assert "entities: is needed" in said
