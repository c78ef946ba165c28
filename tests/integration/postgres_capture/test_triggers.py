"""Capture by triggers does what every capture must do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.postgres_capture.triggers import TriggerSource
from tests.suites.capture import CaptureRestartSuite, CaptureSuite


@pytest.fixture
async def source(database: str) -> AsyncIterator[TriggerSource]:
    """The suite's table, with triggers."""
    source = TriggerSource(database)
    await source.open("create table items (id integer primary key, name text, amount integer)")
    yield source
    await source.close()


class TestTriggers(CaptureSuite):
    """On PostgreSQL."""


class TestTriggersRestart(CaptureRestartSuite):
    """On PostgreSQL."""
