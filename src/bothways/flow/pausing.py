"""What pauses a system in one direction, and what lets it go on: in the state, so that all workers see it.

While a lane is paused its work waits in the state under the lane's name, and its messages count as done: other systems
and the other direction go on, and a pause may last longer than the log keeps messages. Whoever parks work holds the
lane's checkpoint together with others who do; whoever opens it holds it alone. So nothing is parked behind a lane that
has just been opened, where nobody would wake it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import structlog

from bothways.flow.context import Context
from bothways.model.outcome import Direction, Parked
from bothways.model.pause import By, Closure, Lane, lane_name
from bothways.model.values import Value
from bothways.ports import Checkpoints, Transaction

_log = structlog.get_logger(__name__)


async def closures(checkpoints: Checkpoints, lane: Lane) -> tuple[Closure, ...]:
    """Why the lane is paused; nothing where it is not."""
    return _read(await checkpoints.load(lane_name(lane)))


async def close(tx: Transaction, lane: Lane, closure: Closure) -> tuple[Closure, ...]:
    """Pause the lane for this reason, if it is not paused for it already; all its reasons then."""
    found = _read(await tx.checkpoints.hold(lane_name(lane)))
    if any(each.by is closure.by for each in found):
        return found
    after = (*found, closure)
    await tx.checkpoints.store(lane_name(lane), _document(after))
    return after


async def reopen(tx: Transaction, lane: Lane, reasons: Collection[By]) -> tuple[Closure, ...]:
    """Take these reasons away; what is left of them. Where nothing is, all that waited is due."""
    found = _read(await tx.checkpoints.hold(lane_name(lane)))
    left = tuple(each for each in found if each.by not in reasons)
    if left != found:
        await tx.checkpoints.store(lane_name(lane), _document(left))
    if not left:
        await tx.waiting.wake(lane_name(lane))
    return left


async def park(context: Context, lane: Lane, work: Sequence[Parked]) -> bool:
    """Let the work wait for the lane; False, and nothing waits, where the lane is open by now."""
    async with context.catalogue.transaction() as tx:
        found = _read(await tx.checkpoints.hold(lane_name(lane), shared=True))
        for each in work if found else ():
            await tx.waiting.park(each)
    see(context, lane, found)
    return bool(found)


async def refuse(context: Context, system: str, reason: str) -> None:
    """The system refuses our key: it is paused in both directions, or in neither should we die here."""
    known = [{each.by for each in context.closed.get((system, way), ())} for way in Direction]
    if all(By.KEY in reasons for reasons in known):
        return
    closure = Closure(By.KEY, context.clock.now(), reason)
    async with context.catalogue.transaction() as tx:
        found = {(system, way): await close(tx, (system, way), closure) for way in Direction}
    for lane, reasons in found.items():
        see(context, lane, reasons)


def see(context: Context, lane: Lane, found: tuple[Closure, ...]) -> None:
    """Remember in this process how the lane stands, and say so where that is new."""
    before, (system, direction) = context.closed.get(lane, ()), lane
    known = {each.by for each in before}
    for each in found:
        if each.by not in known:
            tell = _log.warning if each.by is By.OPERATOR else _log.error
            tell("lane.paused", system=system, direction=direction.value, by=each.by.value, reason=each.reason)
    if found:
        context.closed[lane] = found
    elif before:
        del context.closed[lane]
        _log.info("lane.resumed", system=system, direction=direction.value)


def _read(value: Value) -> tuple[Closure, ...]:
    """Raises ``ValueError`` for a checkpoint that was written by something else."""
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise ValueError(f"not the state of a lane: {value!r}")
    found = []
    for by, each in value.items():
        if not isinstance(each, Mapping) or not isinstance(since := each.get("since"), int | float):
            raise ValueError(f"not the state of a lane: {value!r}")
        found.append(Closure(By(by), float(since), str(each.get("reason"))))
    return tuple(found)


def _document(found: Sequence[Closure]) -> Value:
    return {each.by.value: {"since": each.since, "reason": each.reason} for each in found}
