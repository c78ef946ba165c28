"""What every command knows: the global options, and how to get from them to settings and parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from bothways.config import Settings

R = TypeVar("R")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@dataclass(frozen=True, slots=True)
class Invocation:
    """The global options of one run."""

    config: Path | None = None
    debug: bool = False
    log_level: str = "info"

    def settings(self) -> Settings:
        """The settings, with logging set up so that none of their secrets gets into it. Raises ``SettingsError``."""
        from bothways.config import load, locate
        from bothways.insight.log import configure

        configure(level=self.log_level)
        settings = load(locate(self.config))
        configure(level=self.log_level, secrets=settings.secrets())
        return settings


def invocation(context: typer.Context) -> Invocation:
    """The global options of this run."""
    found = context.find_object(Invocation)
    assert found is not None
    return found


def run(context: typer.Context, work: Callable[[Settings], Coroutine[None, None, R]]) -> R:
    """Read the settings and run this work on an event loop of its own."""
    return asyncio.run(work(invocation(context).settings()))
