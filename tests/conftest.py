"""Fixtures that all tests share: the servers, each started when the first test asks for it."""

from __future__ import annotations

pytest_plugins = ["tests.servers.kafka", "tests.servers.postgres", "tests.servers.sandbox"]
