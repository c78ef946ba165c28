"""Secrets stay where they are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from bothways.config import load
from bothways.model.errors import SettingsError
from tests.unit.config.writing import KEY, MINIMAL, read, refusal

FULL = MINIMAL.replace(
    "[systems.stripe]",
    """\
[log]
url = "kafka://127.0.0.1:9092"
[log.kafka]
sasl.password = "kafkahidden"
[http]
api_keys = ["httphidden"]
[systems.stripe]
webhook_secrets = ["env:STRIPE_WEBHOOK_SECRET"]
""",
)
SECRETS = (KEY, "dontshowme", "whsec_hidden", "kafkahidden", "httphidden")


def test_secrets_are_in_no_repr_and_no_dump(tmp_path: Path) -> None:
    """Printing the settings, whole or in part, shows none of them."""
    settings = read(tmp_path, FULL)
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert not [secret for secret in SECRETS if secret in shown]


BREAKING = [
    ("sk_test", "env:STRIPE_API_KEY", '"sk_mine_verysecret"'),
    ("pk", "env:STRIPE_API_KEY", '"pk_test_verysecret"'),
    ("list", "env:STRIPE_API_KEY", '["sk_test_verysecret"]'),
    ("number", "env:STRIPE_API_KEY", "123456789"),
    ("live over http", "env:STRIPE_API_KEY", '"sk_live_verysecret"\napi_base = "http://127.0.0.1:1"'),
    ("database", "postgresql://app:dontshowme@127.0.0.1/shop", '"oracle://app:verysecret@127.0.0.1/shop"'),
    ("secrets as text", '["env:STRIPE_WEBHOOK_SECRET"]', '"whsec_verysecret"'),
    ("secret that is empty", '["env:STRIPE_WEBHOOK_SECRET"]', '["whsec_verysecret", ""]'),
    ("kafka", '"kafkahidden"', '["verysecret"]'),
]


@pytest.mark.parametrize(("old", "new"), [case[1:] for case in BREAKING], ids=[case[0] for case in BREAKING])
def test_a_refused_secret_is_not_shown(tmp_path: Path, old: str, new: str) -> None:
    """The message says where, not what; neither does the chain of causes, which a traceback would print."""
    text = FULL.replace(f'"{old}"', new).replace(old, new)
    assert text != FULL
    said = refusal(tmp_path, text)
    assert "verysecret" not in said
    assert "123456789" not in said
    with pytest.raises(SettingsError) as refused:
        load(tmp_path / "bothways.toml", {"STRIPE_API_KEY": KEY, "STRIPE_WEBHOOK_SECRET": "x"})
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None or "verysecret" not in repr(refused.value.__context__)
    assert not [secret for secret in SECRETS if secret in said]
