"""The settings' address names the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from bothways.eventlog import open_log
from bothways.model.errors import SettingsError


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite://host/x", "kafka://", "kafka://a:1/topic", "redis://a:1", "postgresql://x"]
)
def test_anything_else_is_refused_with_what_to_write(url: str) -> None:
    """The error shows the forms that there are."""
    with pytest.raises(SettingsError, match="sqlite:///PATH"):
        open_log(url, {}, Path())


def test_a_login_in_the_address_is_refused_and_not_repeated() -> None:
    """It belongs into the options, and no error shows it."""
    with pytest.raises(SettingsError) as refused:
        open_log("kafka://app:hunter2@a:1", {}, Path())
    assert "hunter2" not in str(refused.value)
