"""Settings that work."""

from __future__ import annotations

from pathlib import Path

import pytest

from bothways.config import locate
from bothways.config.units import Listen
from bothways.model.errors import SettingsError
from bothways.sync.mapping import Deletes, Ways
from tests.unit.config.writing import KEY, MINIMAL, read

FULL = """\
data = "data"
[catalogue]
url = "postgresql://app@127.0.0.1/Shop-1"
capture = "log"
[log]
url = "kafka://127.0.0.1:9092,127.0.0.1:9093"
prefix = "sync"
retention = "30d"
[log.kafka]
security.protocol = "SSL"
"sasl.password" = "env:DATABASE_PASSWORD"
enable.ssl.certificate.verification = true
socket.timeout.ms = 1000
[http]
listen = "0.0.0.0:9000"
api_keys = ["file:key.txt"]
[systems.stripe]
api_key = "env:STRIPE_API_KEY"
api_base = "http://127.0.0.1:12111/"
webhook_secrets = ["env:STRIPE_WEBHOOK_SECRET", "whsec_other"]
rate = "600/m"
poll = "1m30s"
[systems.other]
kind = "stripe"
api_key = "rk_test_1"
[entities.customer]
table = "shop.customers"
topic = "changes"
where = "not is_guest"
deletes = { out = "ignore", in = "mark" }
mark = { column = "status", value = "deleted" }
[entities.customer.stripe]
object = "customer"
id_column = "stripe_customer_id"
match_on = ["email"]
[entities.customer.stripe.fields]
name = "name"
email = { field = "email", wins = "latest" }
phone = { field = "phone", wins = "stripe", direction = "in" }
since = { field = "metadata.since", transform = "text" }
tier = { field = "metadata.tier", transform = { outward = "shop.sync:up", inward = "shop.sync:down" } }
[entities.invoice]
table = "invoices"
deletes = "ignore"
[entities.invoice.other]
object = "product"
fields = { customer_id = { field = "metadata.customer", ref = "customer" }, title = "name" }
[entities.customer.other]
object = "customer"
fields = { phone = "phone" }
"""


def test_little_is_needed_and_the_rest_has_defaults(tmp_path: Path) -> None:
    """A database, a key and a mapping are enough."""
    settings = read(tmp_path, MINIMAL)
    assert settings.data == tmp_path / ".bothways"
    assert settings.log.url == "sqlite"
    assert settings.http.listen == Listen("127.0.0.1", 8000)
    assert settings.topic("customer") == "bothways.customer"
    assert settings.event_topic("stripe", "customer") == "bothways.stripe.customer"
    assert settings.slot == settings.publication == "bothways_shop"
    stripe = settings.systems["stripe"]
    assert (stripe.kind, stripe.rate, stripe.poll, stripe.is_live) == ("stripe", 25, 60, False)
    customer = settings.entities["customer"]
    assert (customer.deletes.out, customer.deletes.in_) == (Deletes.PROPAGATE, Deletes.PROPAGATE)
    name = customer.remotes["stripe"].fields["name"]
    assert (name.field, name.wins, name.direction, name.transform) == ("name", "database", Ways.BOTH, None)


def test_everything_can_be_said(tmp_path: Path) -> None:
    """Each setting arrives as it was written; `env:` and `file:` are read, from beside the settings."""
    (tmp_path / "key.txt").write_text("an api key\n")
    settings = read(tmp_path, FULL)
    assert settings.slot == "sync_shop_1"
    assert {name: value.get_secret_value() for name, value in settings.log.kafka.items()} == {
        "security.protocol": "SSL",
        "sasl.password": "dontshowme",
        "enable.ssl.certificate.verification": "true",
        "socket.timeout.ms": "1000",
    }
    assert [key.get_secret_value() for key in settings.http.api_keys] == ["an api key"]
    assert settings.log.retention == 30 * 86400
    stripe = settings.systems["stripe"]
    assert (stripe.api_base, stripe.rate, stripe.poll) == ("http://127.0.0.1:12111", 10, 90)
    assert stripe.api_key.get_secret_value() == KEY
    assert settings.mapped("other") == ("customer", "invoice")
    assert settings.topic("customer") == "changes"
    customer = settings.entities["customer"]
    assert (customer.deletes.out, customer.deletes.in_) == (Deletes.IGNORE, Deletes.MARK)
    fields = customer.remotes["stripe"].fields
    assert fields["phone"].direction is Ways.IN
    assert fields["since"].transform is not None
    assert fields["since"].transform.name == "text"
    assert fields["tier"].transform is not None
    assert fields["tier"].transform.outward == "shop.sync:up"
    assert settings.entities["invoice"].remotes["other"].fields["customer_id"].ref == "customer"
    assert settings.entities["invoice"].deletes.in_ is Deletes.IGNORE


def test_an_entity_needs_no_remote(tmp_path: Path) -> None:
    """Then it is captured, and no more."""
    text = '[catalogue]\nurl = "postgresql:///shop"\n[entities.purchase]\ntable = "purchases"\n'
    assert read(tmp_path, text).entities["purchase"].remotes == {}


def test_the_option_goes_before_the_variable_and_that_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--config`, `BOTHWAYS_CONFIG`, `bothways.toml`; a file that is not there is named."""
    monkeypatch.chdir(tmp_path)
    for name in ("option.toml", "variable.toml", "bothways.toml"):
        (tmp_path / name).touch()
    variable = {"BOTHWAYS_CONFIG": "variable.toml"}
    assert locate(Path("option.toml"), variable).name == "option.toml"
    assert locate(None, variable).name == "variable.toml"
    assert locate(None, {}).name == "bothways.toml"
    with pytest.raises(SettingsError, match=r"missing\.toml is not a file"):
        locate(None, {"BOTHWAYS_CONFIG": "missing.toml"})
