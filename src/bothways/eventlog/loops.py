"""From threads to event loops."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable


def call_soon(loop: AbstractEventLoop, function: Callable[[], None]) -> bool:
    """From any thread: have the loop call it, unless the loop has ended, perhaps this very moment; whether it will."""
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        if not loop.is_closed():
            raise
        return False
    return True
