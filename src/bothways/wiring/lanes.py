"""Pausing and resuming by hand, and what is paused: for the command line, health and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bothways.config import Settings
from bothways.config.problems import suggestion
from bothways.flow.brake import allow
from bothways.flow.deliver import Deliver
from bothways.flow.pausing import close, closures, reopen
from bothways.insight.metrics import Metrics
from bothways.model.errors import BothwaysError, SettingsError
from bothways.model.outcome import Direction
from bothways.model.pause import By, Closure, Lane, lane_name
from bothways.wiring.parts import Parts, opened


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One system in one direction."""

    system: str
    direction: Direction
    paused: Sequence[Closure]
    """Why; nothing where it is not paused."""
    waiting: int
    """How much work waits in the state for it."""


async def pause(settings: Settings, system: str, directions: Sequence[Direction]) -> Sequence[LaneStatus]:
    """Pause these; how they stand then. Raises ``SettingsError`` for a system that there is not."""
    _check(settings, system)
    async with opened(settings) as parts:
        closure = Closure(By.OPERATOR, parts.clock.now(), "by hand: `bothways pause`")
        async with (await parts.catalogue()).transaction() as transaction:
            for direction in directions:
                await close(transaction, (system, direction), closure)
        return [await _status(parts, (system, direction)) for direction in directions]


async def resume(
    settings: Settings, system: str, directions: Sequence[Direction], *, allow_deletions: bool
) -> Sequence[LaneStatus]:
    """Let these go on; how they stand then. A key that was refused is tried again.

    Raises ``BothwaysError``, and nothing goes on, where deletions are held and are not allowed.
    """
    _check(settings, system)
    async with opened(settings) as parts:
        lanes = [(system, direction) for direction in directions]
        if not allow_deletions:
            await _refuse_held(parts, lanes)
        reasons = {By.OPERATOR, By.KEY, *((By.DELETIONS,) if allow_deletions else ())}
        async with (await parts.catalogue()).transaction() as transaction:
            for lane in lanes:
                if allow_deletions:
                    await allow(transaction.checkpoints, lane, parts.clock.now())
                await reopen(transaction, lane, reasons)
        return [await _status(parts, lane) for lane in lanes]


async def lane_statuses(parts: Parts) -> Sequence[LaneStatus]:
    """All of them."""
    systems = [system for system in parts.settings.systems if parts.settings.mapped(system)]
    return [await _status(parts, (system, direction)) for system in systems for direction in Direction]


def watch_lanes(metrics: Metrics, deliver: Deliver) -> None:
    """1 for what is paused, as this process sees it."""

    def numbers() -> Mapping[tuple[str, ...], float]:
        lanes = [(system, direction) for system in deliver.context.remotes for direction in Direction]
        return {(system, way.value): float((system, way) in deliver.context.closed) for system, way in lanes}

    metrics.watch("paused", "1 where a system is paused in this direction, else 0.", ["system", "direction"], numbers)


def in_words(paused: Mapping[Lane, Sequence[Closure]]) -> Mapping[str, str]:
    """``stripe out`` → why."""
    return {
        f"{system} {direction.value}": "; ".join(each.reason for each in reasons)
        for (system, direction), reasons in paused.items()
    }


async def _status(parts: Parts, lane: Lane) -> LaneStatus:
    async with (await parts.catalogue()).transaction() as transaction:
        found = await closures(transaction.checkpoints, lane)
        waiting = await transaction.people.waiting_on(lane_name(lane)) if found else 0
    return LaneStatus(*lane, found, waiting)


async def _refuse_held(parts: Parts, lanes: Sequence[Lane]) -> None:
    for system, direction in lanes:
        status = await _status(parts, (system, direction))
        held = next((each for each in status.paused if each.by is By.DELETIONS), None)
        if held is not None:
            raise BothwaysError(
                f"{system} {direction.value} is paused because of {held.reason}; {status.waiting} pieces of work wait",
                hint=f"undo what deleted them, or make the deletions: bothways resume {system}"
                f" --direction {direction.value} --allow-deletions",
            )


def _check(settings: Settings, system: str) -> None:
    if system not in settings.systems:
        raise SettingsError(f'there is no system "{system}"{suggestion(system, settings.systems)}')
