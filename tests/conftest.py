"""What all tests share: logging put back as it was, and the servers, each started when the first test asks for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# The asserts of a suite and of a helper say what they compared, as those of test modules do.
pytest.register_assert_rewrite("tests.suites", "tests.acceptance.attackers")

# How fast the machine is at the moment says nothing about the code.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

pytest_plugins = [
    "tests.servers.browser",
    "tests.servers.kafka",
    "tests.servers.connect",  # after what it imports, whose asserts would not be rewritten otherwise
    "tests.servers.postgres",
    "tests.servers.sandbox",
]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Logging is global: what a test or a command sets up ends with the test, in whatever order tests run."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
