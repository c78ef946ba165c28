"""Fixtures that all tests share: the servers, each started when the first test asks for it."""

from __future__ import annotations

import pytest

# A suite's asserts say what they compared, as those of test modules do.
pytest.register_assert_rewrite("tests.suites")

pytest_plugins = ["tests.servers.kafka", "tests.servers.postgres", "tests.servers.sandbox"]
