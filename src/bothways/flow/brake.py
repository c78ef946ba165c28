"""The brake on mass deletion: more of it in a minute than is allowed pauses the direction, until somebody says go on.

Deletions are counted in the state, in the transaction that writes one down, so that all workers together never make
more, and a crash neither forgets nor doubles one.
"""

from __future__ import annotations

from collections.abc import Mapping

from bothways.flow.context import Context
from bothways.flow.pausing import close, closures, see
from bothways.model.outcome import Direction
from bothways.model.pause import By, Closure, Lane
from bothways.model.values import Value
from bothways.ports import Checkpoints, Transaction

WINDOW_SECONDS = 60


class HeldBack(Exception):
    """This deletion would be one too many, or its direction is paused: nothing of the transaction remains."""

    def __init__(self, lane: Lane, at: float | None) -> None:
        super().__init__(lane, at)
        self.lane, self.at = lane, at


def _name(lane: Lane) -> str:
    system, direction = lane
    return f"deletions:{system}:{direction.value}"


class Brake:
    """One system's deletions, either way."""

    def __init__(self, context: Context, system: str) -> None:
        self.context, self.system = context, system
        self.most = context.deletions.get(system)

    async def count(self, tx: Transaction, direction: Direction, at: float | None) -> None:
        """Count one deletion that this transaction is about to make; ``at``: when it was asked for, if that is known.

        Raises ``HeldBack`` where it is one too many. What is locked here stays so to the transaction's end: nothing
        that others may hold is locked after it.
        """
        if self.most is None:
            return
        lane = (self.system, direction)
        seconds, allowed = _read(await tx.checkpoints.hold(_name(lane)))
        if at is not None and at <= allowed:
            return
        now = int(self.context.clock.now())
        recent = {second: number for second, number in seconds.items() if second > now - WINDOW_SECONDS}
        if sum(recent.values()) >= self.most:
            raise HeldBack(lane, at)
        recent[now] = recent.get(now, 0) + 1
        await tx.checkpoints.store(_name(lane), _document(recent, allowed))

    async def count_row(self, tx: Transaction, at: float) -> None:
        """The same for a row that is to be deleted because a call of ours found its object gone.

        The call went the other way, so it is also held where the rows' direction is paused.
        """
        lane = (self.system, Direction.IN)
        if lane in self.context.closed:
            raise HeldBack(lane, at)
        await self.count(tx, Direction.IN, at)

    async def trip(self, held: HeldBack) -> bool:
        """Pause the lane, since a deletion was held; False where somebody has allowed it meanwhile."""
        async with self.context.catalogue.transaction() as tx:
            found = await closures(tx.checkpoints, held.lane)
            if not found and not await self._allows(tx.checkpoints, held):
                reason = f"more than {self.most} deletions in a minute"
                found = await close(tx, held.lane, Closure(By.DELETIONS, self.context.clock.now(), reason))
        see(self.context, held.lane, found)
        return bool(found)

    async def _allows(self, checkpoints: Checkpoints, held: HeldBack) -> bool:
        if self.most is None:
            return True
        seconds, allowed = _read(await checkpoints.hold(_name(held.lane)))
        since = int(self.context.clock.now()) - WINDOW_SECONDS
        recent = sum(number for second, number in seconds.items() if second > since)
        return recent < self.most or (held.at is not None and held.at <= allowed)


async def allow(checkpoints: Checkpoints, lane: Lane, now: float) -> None:
    """Let every deletion be made that was asked for until now, and count anew."""
    await checkpoints.hold(_name(lane))
    await checkpoints.store(_name(lane), _document({}, now))


def _read(value: Value) -> tuple[dict[int, int], float]:
    """Deletions by second, and until when they are allowed."""
    if not isinstance(value, Mapping):
        return {}, 0.0
    seconds, allowed = value.get("seconds"), value.get("allowed")
    counted = seconds if isinstance(seconds, Mapping) else {}
    return (
        {int(second): number for second, number in counted.items() if isinstance(number, int)},
        float(allowed) if isinstance(allowed, int | float) else 0.0,
    )


def _document(seconds: Mapping[int, int], allowed: float) -> Value:
    return {"seconds": {str(second): number for second, number in seconds.items()}, "allowed": allowed}
