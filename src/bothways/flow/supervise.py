"""Runs the roles of one process: restarts what fails, keeps down what cannot work, and stops cleanly."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import structlog

from bothways.flow.retry import Backoff
from bothways.model.errors import BothwaysError, Forbidden, MappingBroken, SettingsError, SourceLost
from bothways.ports import Role

FOR_GOOD = (SettingsError, SourceLost, MappingBroken, Forbidden)
"""What another try cannot cure: somebody has to do something first."""

STOPPING = (signal.SIGTERM, signal.SIGINT)

CLEAN = 0
"""Exit code: asked to stop, and everything was let go in order."""
BROKEN = 1
"""Exit code: every role is down for good, or one did not let go in time."""
INTERRUPTED = 130
"""Exit code: told a second time, so nothing was waited for."""

LAST_SECONDS = 1.0
"""How long what is cancelled without order may take to let go."""

_log = structlog.get_logger(__name__)


class _Supervised:
    """One role, its task, and why it does not run."""

    def __init__(self, role: Role, backoff: Backoff, healthy_seconds: float) -> None:
        self.role = role
        self.restarts = 0
        self.trouble: str | None = None
        self._backoff = backoff
        self._healthy_seconds = healthy_seconds

    def ready(self) -> str | None:
        return self.trouble or self.role.ready()

    async def keep_running(self) -> None:
        """Run the role again and again; returns when it can only be kept down."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            error = await self._run_once()
            if isinstance(error, FOR_GOOD):
                self.trouble = f"down: {describe(error)}"
                _log.error("role.down", role=self.role.name, error=describe(error))
                return
            if loop.time() - began >= self._healthy_seconds:
                self._backoff.reset()
            wait = self._backoff.after(error)
            self.trouble = f"restarts in {wait:.1f} s: {describe(error)}"
            expected = isinstance(error, BothwaysError)
            _log.error(
                "role.failed",
                role=self.role.name,
                error=describe(error),
                restart_seconds=round(wait, 3),
                exc_info=None if expected else error,
            )
            await asyncio.sleep(wait)
            self.restarts += 1
            self.trouble = None

    async def _run_once(self) -> Exception:
        """The error that it ended with. Once the supervisor stops it, whatever it ends with is raised."""
        try:
            await self.role.run()
        except asyncio.CancelledError:
            if _being_cancelled():
                raise
            return RuntimeError("it was cancelled from inside")
        except Exception as error:
            if _being_cancelled():
                raise
            return error
        if _being_cancelled():
            raise asyncio.CancelledError
        return RuntimeError("it ended by itself")


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def describe(error: BaseException) -> str:
    """The error for people: ours with their hints, others with their kind."""
    return str(error) if isinstance(error, BothwaysError) else f"{type(error).__name__}: {error}"


class Supervisor:
    """Runs roles side by side until a signal, ``stop()``, or until none of them can work any more.

    A role that fails is restarted after a back-off, which begins anew once it has run for ``healthy_seconds``. One that
    fails with an error of ``FOR_GOOD`` stays down, with its reason in ``ready()``: the process goes on, so that the
    reason can be seen and no crash loop hides it.

    Roles are stopped one after another in the order given, so those that let work in come first: receive, deliver,
    capture, and the HTTP server where its health is wanted to the end. Each has ``stop_seconds`` to let go.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        first: float = 0.5,
        most: float = 30.0,
        healthy_seconds: float = 60.0,
        stop_seconds: float = 20.0,
        chance: random.Random | None = None,
    ) -> None:
        names = [role.name for role in roles]
        if not roles or len(set(names)) < len(names):
            raise ValueError("needs roles, each with a name of its own")
        chance = chance or random.Random()
        self._supervised = [_Supervised(role, Backoff(first, most, chance), healthy_seconds) for role in roles]
        self._stop_seconds = stop_seconds
        self._asked = asyncio.Event()
        self._asked_again = asyncio.Event()

    def ready(self) -> Mapping[str, str | None]:
        """Per role None when it does its work, else why not."""
        return MappingProxyType({each.role.name: each.ready() for each in self._supervised})

    def restarts(self) -> Mapping[str, int]:
        """Per role how often it was started again."""
        return MappingProxyType({each.role.name: each.restarts for each in self._supervised})

    def stop(self) -> None:
        """Stop in order, as at a first signal; called again, at once, as at a second."""
        if self._asked.is_set():
            self._asked_again.set()
        self._asked.set()

    async def run(self, *, signals: bool = True) -> int:
        """Run everything; returns the exit code. With ``signals`` SIGTERM and SIGINT stop it; a third one kills."""
        if signals:
            self._listen()
        tasks = {
            each.role.name: asyncio.create_task(each.keep_running(), name=each.role.name) for each in self._supervised
        }
        try:
            return await self._until_stopped(tasks)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.wait(tasks.values(), timeout=LAST_SECONDS)
            if signals:
                _forget_signals()

    async def _until_stopped(self, tasks: Mapping[str, asyncio.Task[None]]) -> int:
        asked = asyncio.create_task(self._asked.wait())
        again = asyncio.create_task(self._asked_again.wait())
        all_down = asyncio.create_task(asyncio.wait(tasks.values()))
        try:
            await asyncio.wait((asked, all_down), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                _log.error("roles.all_down")
                return BROKEN
            _log.info("stopping")
            stopping = asyncio.create_task(self._stop_in_order(tasks))
            await asyncio.wait((stopping, again), return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return stopping.result()
            stopping.cancel()
            _log.warning("stopping.at_once")
            return INTERRUPTED
        finally:
            for helper in (asked, again, all_down):
                helper.cancel()

    async def _stop_in_order(self, tasks: Mapping[str, asyncio.Task[None]]) -> int:
        code = CLEAN
        for name, task in tasks.items():
            task.cancel()
            await asyncio.wait((task,), timeout=self._stop_seconds)
            if not task.done():
                code = BROKEN
                _log.error("role.stuck", role=name, seconds=self._stop_seconds)
            elif not task.cancelled() and (error := task.exception()) is not None:
                code = BROKEN
                _log.error("role.stop_failed", role=name, error=describe(error), exc_info=error)
        return code

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        if self._asked.is_set():
            _forget_signals()
            for number in STOPPING:
                signal.signal(number, signal.SIG_DFL)  # the next one ends the process, whatever hangs
        self.stop()


def _forget_signals() -> None:
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.remove_signal_handler(number)
