"""A shop for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.existing.shop import Shop, opened_shop
from tests.servers.sandbox import SandboxProcess


@pytest.fixture
def shop(tmp_path: Path, database: str, stripe_process: SandboxProcess) -> Shop:
    """Both sides empty, settings written, no setup yet."""
    return opened_shop(tmp_path, database, stripe_process)
