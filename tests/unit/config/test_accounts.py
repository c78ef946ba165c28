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
