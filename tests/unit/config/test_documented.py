"""docs/settings.md says every setting, its default, and an example that works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bothways.config.entities import EntitySettings, FieldSettings, RemoteMapping
from bothways.config.settings import CatalogueSettings, HttpSettings, InsightSettings, LogSettings, RetentionSettings
from bothways.config.systems import StripeSettings
from bothways.sync.transforms import NAMED
from tests.unit.config.writing import read

TEXT = (Path(__file__).parents[3] / "docs" / "settings.md").read_text(encoding="utf-8")
SECTIONS: list[tuple[str, type[BaseModel]]] = [
    ("## `[catalogue]`", CatalogueSettings),
    ("## `[log]`", LogSettings),
    ("## `[retention]`", RetentionSettings),
    ("## `[insight]`", InsightSettings),
    ("## `[http]`", HttpSettings),
    ("## `[systems.NAME]`", StripeSettings),
    ("## `[entities.NAME]`", EntitySettings),
    ("## `[entities.NAME.SYSTEM]`", RemoteMapping),
    ("## A field", FieldSettings),
]


def section(title: str) -> str:
    """The part of the page with that title."""
    found = TEXT[TEXT.index(title) :]
    end = found.find("\n## ", 1)
    return found if end < 0 else found[:end]


@pytest.mark.parametrize(("title", "model"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_every_setting_is_in_its_table_and_no_other(title: str, model: type[BaseModel]) -> None:
    """A setting that is added or goes away changes the page."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section(title).partition("| transform | column")[0], re.MULTILINE)
    assert [name for name, _ in rows] == [info.alias or name for name, info in model.model_fields.items()]
    for name, default in rows:
        assert (default == "needed") == model.model_fields[name].is_required(), name


def test_every_transform_is_there() -> None:
    """By its name."""
    assert set(re.findall(r"^\| `(\w+)` \|", section("## A field").partition("| transform |")[2], re.MULTILINE)) >= set(
        NAMED
    )


def test_the_example_works(tmp_path: Path) -> None:
    """Copied as it stands, with its variables set."""
    example = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert example is not None
    variables = {
        "DATABASE_URL": "postgresql:///shop",
        "STRIPE_API_KEY": "sk_test_1",
        "STRIPE_WEBHOOK_SECRET": "whsec_1",
    }
    customer = read(tmp_path, example[1], variables).entities["customer"]
    assert customer.remotes["stripe"].fields["city"].field == "address.city"
