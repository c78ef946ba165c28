"""Roles that fail, stay down, and are stopped."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable

import pytest

from bothways.flow.supervise import BROKEN, CLEAN, INTERRUPTED, Supervisor
from bothways.model.errors import Forbidden, MappingBroken, SettingsError, SourceLost, Unavailable


class Worker:
    """A role that raises what it is given, one error a run, then works until it is cancelled."""

    def __init__(self, name: str, *errors: Exception, journal: list[str] | None = None) -> None:
        self._name = name
        self.errors = list(errors)
        self.runs = 0
        self.working = asyncio.Event()
        self.journal = journal if journal is not None else []
        self.hold = asyncio.Event()
        self.hold.set()

    @property
    def name(self) -> str:
        return self._name

    def ready(self) -> str | None:
        """Ready while it works."""
        return None if self.working.is_set() else "starting"

    async def run(self) -> None:
        """Fail, or work."""
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        self.working.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.journal.append(f"{self._name} asked")
            await self.hold.wait()
            self.journal.append(f"{self._name} stopped")


def supervise(*roles: Worker, stop_seconds: float = 5.0) -> Supervisor:
    """A supervisor that does not wait long."""
    return Supervisor(roles, first=0.001, most=0.002, stop_seconds=stop_seconds, chance=random.Random(0))


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until it holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for are states, not events
            await asyncio.sleep(0)


async def test_a_failed_role_is_started_again() -> None:
    """Any unexpected error means: restart; it is counted, and the role is ready once it works."""
    worker = Worker("deliver", Unavailable("no answer"), ValueError("odd"))
    supervisor = supervise(worker)
    running = asyncio.create_task(supervisor.run(signals=False))
    await worker.working.wait()
    assert worker.runs == 3
    assert supervisor.restarts() == {"deliver": 2}
    assert supervisor.ready() == {"deliver": None}
    supervisor.stop()
    assert await running == CLEAN


async def test_while_it_waits_for_its_restart_the_reason_is_shown() -> None:
    """``ready()`` names the error and when the role comes back; the other roles go on."""
    failing, other = Worker("deliver", Unavailable("no answer", retry_after=3600)), Worker("capture")
    supervisor = supervise(failing, other)
    running = asyncio.create_task(supervisor.run(signals=False))
    await until(lambda: "restarts in 3600.0 s: no answer" in (supervisor.ready()["deliver"] or ""))
    await until(lambda: supervisor.ready()["capture"] is None)
    supervisor.stop()
    assert await running == CLEAN


@pytest.mark.parametrize(
    "error",
    [
        SettingsError("wrong", hint="write it right"),
        SourceLost("slot gone", hint="run setup"),
        MappingBroken("column gone", hint="change the settings"),
        Forbidden("key refused", hint="give another"),
    ],
)
async def test_what_cannot_be_cured_stays_down(error: Exception) -> None:
    """No crash loop: one run, the reason and the hint in ``ready()``, the other roles go on."""
    broken, other = Worker("capture", error), Worker("deliver")
    supervisor = supervise(broken, other)
    running = asyncio.create_task(supervisor.run(signals=False))
    await other.working.wait()
    await until(lambda: supervisor.ready()["capture"] == f"down: {error}")
    assert broken.runs == 1
    assert supervisor.ready()["deliver"] is None
    supervisor.stop()
    assert await running == CLEAN


async def test_it_ends_when_nothing_can_work() -> None:
    """With every role down for good the process ends, and its exit code says so."""
    assert await supervise(Worker("a", Forbidden("no")), Worker("b", SourceLost("no"))).run(signals=False) == BROKEN


async def test_a_role_that_returns_is_started_again() -> None:
    """A role works until it is cancelled; one that just ends has failed."""

    class Short(Worker):
        async def run(self) -> None:
            self.runs += 1
            if self.runs == 3:
                self.working.set()
                await asyncio.Event().wait()

    worker = Short("poll")
    supervisor = supervise(worker)
    running = asyncio.create_task(supervisor.run(signals=False))
    await asyncio.wait_for(worker.working.wait(), 5)
    supervisor.stop()
    assert await running == CLEAN


async def test_roles_stop_in_order() -> None:
    """The next role is asked to stop only when the one before it has let go."""
    journal: list[str] = []
    roles = [Worker(name, journal=journal) for name in ("receive", "deliver", "capture")]
    supervisor = supervise(*roles)
    running = asyncio.create_task(supervisor.run(signals=False))
    await asyncio.gather(*(role.working.wait() for role in roles))
    roles[0].hold.clear()
    supervisor.stop()
    await until(lambda: bool(journal))
    assert journal == ["receive asked"]
    roles[0].hold.set()
    assert await running == CLEAN
    assert journal == [f"{name} {what}" for name in ("receive", "deliver", "capture") for what in ("asked", "stopped")]


async def test_a_role_that_does_not_let_go_is_left_behind() -> None:
    """It costs its time and the exit code, not the others' clean stop."""
    stuck, other = Worker("deliver"), Worker("capture")
    stuck.hold.clear()
    supervisor = supervise(stuck, other, stop_seconds=0.01)
    running = asyncio.create_task(supervisor.run(signals=False))
    await asyncio.gather(stuck.working.wait(), other.working.wait())
    supervisor.stop()
    assert await running == BROKEN
    assert other.journal == ["capture asked", "capture stopped"]


async def test_an_error_while_stopping_is_told() -> None:
    """A role that fails when it is cancelled is not started again, and the exit code says so."""

    class Bad(Worker):
        async def run(self) -> None:
            self.runs += 1
            try:
                await super().run()
            except asyncio.CancelledError:
                raise ValueError("could not let go") from None

    worker = Bad("deliver")
    supervisor = supervise(worker)
    running = asyncio.create_task(supervisor.run(signals=False))
    await worker.working.wait()
    supervisor.stop()
    assert await running == BROKEN
    assert supervisor.restarts() == {"deliver": 0}


async def test_a_signal_stops_in_order_and_a_second_one_at_once() -> None:
    """SIGTERM begins the clean stop; the next signal ends it, though a role still holds on."""
    holding = Worker("deliver")
    holding.hold.clear()
    supervisor = supervise(holding, stop_seconds=3600)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    running = asyncio.create_task(supervisor.run())
    try:
        await holding.working.wait()
        signal.raise_signal(signal.SIGTERM)
        await until(lambda: holding.journal == ["deliver asked"])
        assert not running.done()
        signal.raise_signal(signal.SIGINT)
        assert await asyncio.wait_for(running, 5) == INTERRUPTED
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)


async def test_cancelling_the_supervisor_cancels_its_roles() -> None:
    """An owner that is cancelled leaves no role running."""
    worker = Worker("deliver")
    running = asyncio.create_task(supervise(worker).run(signals=False))
    await worker.working.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert worker.journal == ["deliver asked", "deliver stopped"]


def test_roles_need_names_of_their_own() -> None:
    """Two roles of one name could not be told apart in ``ready()``."""

    async def make() -> None:
        Supervisor([Worker("a"), Worker("a")])

    with pytest.raises(ValueError, match="name"):
        asyncio.run(make())
