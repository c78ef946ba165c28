"""The gate before the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bothways.api.gate import Gate
from bothways.api.problems import Problem


class Crowd:
    """Requests that stay inside until they are let out."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self._out = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, name: str, *things: str) -> None:
        """One more comes, and goes in if it can."""
        self._tasks.append(asyncio.create_task(self._visit(name, *things)))
        for _ in range(10):
            await asyncio.sleep(0)

    async def go(self) -> None:
        """All end."""
        self._out.set()
        await asyncio.gather(*self._tasks)

    async def _visit(self, name: str, *things: str) -> None:
        async with self.gate.enter(*things):
            self.inside.append(name)
            await self._out.wait()


@asynccontextmanager
async def crowd(gate: Gate) -> AsyncIterator[Crowd]:
    """A crowd at this gate, gone at the end."""
    made = Crowd(gate)
    yield made
    async with asyncio.timeout(10):
        await made.go()


async def test_so_many_at_a_time_in_their_order() -> None:
    """The rest wait, and come in as they came."""
    async with crowd(Gate(at_once=2)) as all_of_them:
        for name in "abcd":
            await all_of_them.come(name)
        assert all_of_them.inside == ["a", "b"]
    assert all_of_them.inside == ["a", "b", "c", "d"]


async def test_a_crowd_at_one_thing_takes_one_place() -> None:
    """Whoever wants another goes past it; nothing is remembered of things that nobody wants any more."""
    gate = Gate(at_once=2)
    async with crowd(gate) as all_of_them:
        for number in range(20):
            await all_of_them.come(f"same {number}", "row 1")
        await all_of_them.come("other", "row 2")
        assert all_of_them.inside == ["same 0", "other"]
    assert len(all_of_them.inside) == 21
    assert gate._turns == {}


async def test_nobody_waits_for_each_other() -> None:
    """Things are taken in one order, however they are named."""
    gate = Gate()

    async def visit(*things: str) -> None:
        for _ in range(50):
            async with gate.enter(*things):
                await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await asyncio.gather(visit("a", "b"), visit("b", "a"), visit("b", "a", "a"), visit("a"))


async def test_waiting_has_an_end() -> None:
    """503 with when to come again: after the time, or at once where too many wait already."""
    gate = Gate(at_once=1, waiting=1, wait_seconds=0.05)
    async with gate.enter("row"):
        for things in ((), ("row",)):
            with pytest.raises(Problem, match="Too many requests") as caught:
                async with gate.enter(*things):
                    pass
            assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
    patient = Gate(at_once=1, waiting=1, wait_seconds=60)
    async with crowd(patient) as all_of_them:
        await all_of_them.come("inside")
        await all_of_them.come("waiting")
        with pytest.raises(Problem, match="Too many requests"):
            async with patient.enter():
                pass
