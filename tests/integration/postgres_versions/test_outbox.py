"""What only triggers have, on the older versions."""

from __future__ import annotations

import pytest

from tests.integration.postgres_capture.test_outbox import (
    log,
    source,
    test_a_large_backlog_in_little_memory,
    test_a_user_with_few_rights,
    test_late_commits_hold_up_nobody_and_are_not_skipped,
    test_partitions,
    test_tables_that_are_altered_break_no_write,
    test_the_order_of_a_record_is_that_of_its_transactions,
)
from tests.integration.postgres_capture.test_outbox_sleep import (
    test_only_who_sleeps_is_notified,
    test_who_looked_before_capture_slept_is_heard_of,
)

pytestmark = pytest.mark.soak

__all__ = [
    "log",
    "source",
    "test_a_large_backlog_in_little_memory",
    "test_a_user_with_few_rights",
    "test_late_commits_hold_up_nobody_and_are_not_skipped",
    "test_only_who_sleeps_is_notified",
    "test_partitions",
    "test_tables_that_are_altered_break_no_write",
    "test_the_order_of_a_record_is_that_of_its_transactions",
    "test_who_looked_before_capture_slept_is_heard_of",
]
