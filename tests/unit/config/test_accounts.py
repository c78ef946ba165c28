"""Several accounts of one kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from bothways.config import load
from bothways.model.errors import SettingsError

TEXT = """
[catalogue]
url = "postgresql://app@127.0.0.1/shop"
[systems.stripe]
api_key = "sk_test_one"
[systems.stripe_eu]
kind = "stripe"
api_key = "KEY"
[entities.customer]
table = "customers"
"""


def test_two_accounts_are_two_systems(tmp_path: Path) -> None:
    """Each by its name; the kind of the second has to be said."""
    path = tmp_path / "bothways.toml"
    path.write_text(TEXT.replace("KEY", "sk_test_two"))
    assert {name: system.kind for name, system in load(path).systems.items()} == {
        "stripe": "stripe",
        "stripe_eu": "stripe",
    }
    path.write_text(TEXT.replace("KEY", "sk_test_two").replace('kind = "stripe"\n', ""))
    with pytest.raises(SettingsError, match='write kind = "stripe"'):
        load(path)


def test_one_key_is_of_one_system(tmp_path: Path) -> None:
    """Twice, every row would become two objects of one account; the key itself is not told."""
    path = tmp_path / "bothways.toml"
    path.write_text(TEXT.replace("KEY", "sk_test_one"))
    with pytest.raises(SettingsError, match="the key of stripe") as refused:
        load(path)
    assert "sk_test_one" not in str(refused.value)


def test_each_system_has_an_id_column_of_its_own(tmp_path: Path) -> None:
    """A row has an object in each, and one column holds one id; the line and the way out are said."""
    text = TEXT.replace("KEY", "sk_test_two")
    for system in ("stripe", "stripe_eu"):
        text += f'[entities.customer.{system}]\nobject = "customer"\nid_column = "remote_id"\nfields.name = "name"\n'
    path = tmp_path / "bothways.toml"
    path.write_text(text)
    line = len(text.splitlines()) - 1
    says = rf'toml:{line}: entities.customer.stripe_eu.id_column: "remote_id" holds the ids of stripe already; name a'
    with pytest.raises(SettingsError, match=says):
        load(path)
    path.write_text(text.replace("remote_id", "eu_id").replace("eu_id", "remote_id", 1))
    assert load(path).entities["customer"].remotes["stripe_eu"].id_column == "eu_id"
