"""Settings files as tests write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bothways.config import Settings, load
from bothways.model.errors import SettingsError

KEY = "sk_test_abcdefghijklmnop"
ENVIRONMENT = {"STRIPE_API_KEY": KEY, "STRIPE_WEBHOOK_SECRET": "whsec_hidden", "DATABASE_PASSWORD": "dontshowme"}

MINIMAL = """\
[catalogue]
url = "postgresql://app:dontshowme@127.0.0.1/shop"

[systems.stripe]
api_key = "env:STRIPE_API_KEY"

[entities.customer]
table = "customers"

[entities.customer.stripe]
object = "customer"
match_on = ["email"]

[entities.customer.stripe.fields]
name = "name"
email = { field = "email", wins = "stripe" }
"""


def read(folder: Path, text: str, environment: Mapping[str, str] = ENVIRONMENT) -> Settings:
    """The settings that this text makes."""
    path = folder / "bothways.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environment)


def refusal(folder: Path, text: str, environment: Mapping[str, str] = ENVIRONMENT) -> str:
    """What is said about this text, which must be refused; without the folder's name."""
    with pytest.raises(SettingsError) as refused:
        read(folder, text, environment)
    return str(refused.value).replace(f"{folder}/", "")


def line_of(text: str, part: str) -> int:
    """The number of the first line with that part."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)
