"""A lane is one system in one direction; why one is paused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bothways.model.outcome import Direction

Lane: TypeAlias = tuple[str, Direction]


class By(StrEnum):
    """What paused a lane."""

    OPERATOR = "operator"
    """`bothways pause`."""
    DELETIONS = "deletions"
    """More deletions in a minute than are allowed without asking."""
    KEY = "key"
    """The system refuses our key."""


@dataclass(frozen=True, slots=True)
class Closure:
    """One reason why a lane is paused; it may have several."""

    by: By
    since: float
    """Unix seconds."""
    reason: str


def lane_name(lane: Lane) -> str:
    """The checkpoint that holds why the lane is paused, and the name that its work waits on."""
    system, direction = lane
    return f"lane:{system}:{direction.value}"
