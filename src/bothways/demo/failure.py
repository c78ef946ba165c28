"""What can go wrong with the demo itself."""

from __future__ import annotations

from bothways.model.errors import BothwaysError


class NotSeen(BothwaysError):
    """Something that should have happened was not seen, or a part of the demo has ended."""
