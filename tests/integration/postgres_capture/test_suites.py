"""Capture by the WAL does what every capture must do."""

from __future__ import annotations

from tests.suites.capture import CaptureRestartSuite, CaptureSuite


class TestCapture(CaptureSuite):
    """On PostgreSQL."""


class TestCaptureRestart(CaptureRestartSuite):
    """On PostgreSQL."""
