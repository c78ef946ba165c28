"""The steps, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bothways.demo import everyday, trouble
from bothways.demo.stage import Stage

STEPS: Sequence[tuple[str, Callable[[Stage], None]]] = (
    ("A new row becomes a customer", everyday.new_row),
    ("An edit by hand in Stripe arrives in the row", everyday.edit_by_hand),
    ("An update of the row arrives in Stripe", everyday.update_row),
    ("Another kind of record, there and back", everyday.another_object),
    ("Both sides at once, different fields: both edits stay", everyday.different_fields),
    ("Both sides, the same fields: your settings say who wins, and it is recorded", everyday.same_fields),
    ("Webhooks doubled and in the wrong order: counted once", trouble.repeated_webhooks),
    ("Killed in the middle of a call: nothing lost, nothing doubled", trouble.crash),
    ("Deleted stays deleted, even when an older edit arrives late", trouble.late_update),
    ("No loop: nothing echoes", trouble.no_loop),
)
"""What each shows, and what it does. Each begins where the one before ended."""
