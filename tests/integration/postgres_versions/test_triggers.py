"""Capture by triggers on the older versions."""

from __future__ import annotations

import pytest

from tests.integration.postgres_capture.test_triggers import source
from tests.suites.capture import CaptureRestartSuite, CaptureSuite

__all__ = ["source"]


class TestTriggers(CaptureSuite):
    """Every kind of change, on each version."""


@pytest.mark.soak
class TestTriggersRestart(CaptureRestartSuite):
    """Restarts, on each version."""
