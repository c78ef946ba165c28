"""What an update replaced, as events tell it: ``data.previous_attributes``.

Only what changed, nested hashes likewise; a list that changed as a whole; null for what was not there (seen in recorded
events: a metadata key that was added is null).
"""

from __future__ import annotations

from bothways.sandbox.stripe.words import Document


def replaced(before: Document, after: Document) -> Document:
    """The old values of what differs; empty where nothing does."""
    old: Document = {}
    for name in before.keys() | after.keys():
        was, became = before.get(name), after.get(name)
        if was == became:
            continue
        if not isinstance(was, dict) or not isinstance(became, dict):
            old[name] = was
        elif inner := replaced(was, became):
            old[name] = inner
    return old
