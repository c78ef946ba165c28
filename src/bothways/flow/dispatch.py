"""Order per key, concurrency across keys, and how far a partition may be committed.

Pure asyncio: no threads, no wall clock, so that it runs on a virtual clock as well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, NoReturn, TypeVar

from bothways.ports import Partition

K = TypeVar("K")
T = TypeVar("T")

STOP_SECONDS = 10.0
"""How long ``stop`` waits for what is in work, unless it is told otherwise."""


class Stopped(RuntimeError):
    """``put`` on a dispatcher that takes no more."""


class Dispatcher(Generic[K, T]):
    """Hands items to ``handle``: for one key one call at a time and in order, for different keys at the same time.

    With ``coalesce`` a call gets all items that wait for its key, else one. At most ``limit`` items are held, waiting
    or in work. A key costs one task as long as something waits for it, not one per item.

    An exception of ``handle`` is fatal: nothing of its batch counts as done, no other call begins, and ``put``,
    ``drain`` and ``failed()`` raise it. What should be tried again is tried again inside ``handle``.

    Made on a running event loop; the owner calls ``stop`` at the end, in every case.
    """

    def __init__(self, handle: Callable[[K, list[T]], Awaitable[None]], *, limit: int, coalesce: bool = True) -> None:
        if limit < 1:
            raise ValueError("limit must be at least 1")
        self._handle = handle
        self._limit = limit
        self._coalesce = coalesce
        self._queues: dict[K, deque[tuple[T, Callable[[], None]]]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._held = 0
        self._changed = asyncio.Event()
        self._failure: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self._stopping = False

    @property
    def held(self) -> int:
        """Items that wait or are in work."""
        return self._held

    def failed(self) -> asyncio.Future[NoReturn]:
        """A new future that raises what ``handle`` raised, once it does; it may be cancelled freely."""
        return asyncio.shield(self._failure)

    async def put(self, key: K, item: T, done: Callable[[], None]) -> None:
        """Queue the item; waits while ``limit`` items are held. ``done`` is called once ``handle`` returned for it.

        Items of a key are in the order in which their ``put`` was called, if one caller puts them.
        Raises ``Stopped`` after ``stop``, and what ``handle`` raised.
        """
        self._check()
        while self._held >= self._limit:
            await self._change()
            self._check()
        self._held += 1
        queue = self._queues.get(key)
        if queue is not None:
            queue.append((item, done))
            return
        self._queues[key] = queue = deque([(item, done)])
        worker = asyncio.create_task(self._work(key, queue))
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def drain(self) -> None:
        """Wait until nothing is held. Raises what ``handle`` raised."""
        while self._held:
            self._check()
            await self._change()
        self._check()

    def discard(self, predicate: Callable[[T], bool]) -> int:
        """Forget the items that wait and for which ``predicate`` holds; returns how many. Their ``done`` is not called.

        What is in work goes on, and is done when it is done.
        """
        before = self._held
        for queue in self._queues.values():
            kept = [entry for entry in queue if not predicate(entry[0])]
            if len(kept) < len(queue):
                self._held -= len(queue) - len(kept)
                queue.clear()
                queue.extend(kept)
        if self._held < before:
            self._changed.set()
        return before - self._held

    def close(self) -> None:
        """Take no more and forget what waits. From now on a call of ``handle`` may be cancelled: not done then."""
        self._stopping = True
        self.discard(lambda _: True)
        self._changed.set()

    async def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Close, let what is in work finish for ``timeout`` seconds, then cancel it.

        On return no call of ``handle`` is running. Raises nothing of what ``handle`` raised.
        """
        self.close()
        try:
            if self._workers:
                await asyncio.wait(self._workers, timeout=timeout)
        finally:
            late = list(self._workers)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _check(self) -> None:
        if self._failure.done():
            self._failure.result()
        if self._stopping:
            raise Stopped("the dispatcher takes no more")

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _work(self, key: K, queue: deque[tuple[T, Callable[[], None]]]) -> None:
        """Work off one key's queue, then end: the key's entry in ``_queues`` stands for this task."""
        try:
            while queue and not self._failure.done():
                batch = list(queue) if self._coalesce else [queue[0]]
                if self._coalesce:
                    queue.clear()
                else:
                    queue.popleft()
                await self._handle(key, [item for item, _ in batch])
                for _, done in batch:
                    done()
                self._held -= len(batch)
                self._changed.set()
        except asyncio.CancelledError:
            if not self._stopping:
                self._fail(RuntimeError("the work on a key was cancelled from inside"))
            raise
        except Exception as error:  # noqa: BLE001 - handed on to the owner, who sees it in put, drain and failed()
            self._fail(error)
        finally:
            del self._queues[key]

    def _fail(self, error: Exception) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)
            self._failure.exception()  # an owner that is stopping anyway need not look at it
        self._changed.set()


class _Progress:
    """One partition: begun offsets in their order, which of them are open, and what was committed last."""

    __slots__ = ("begun", "committed", "next", "open")

    def __init__(self) -> None:
        self.begun: deque[int] = deque()
        self.committed: int | None = None
        self.open: set[int] = set()
        self.next = 0

    def committable(self) -> int:
        while self.begun and self.begun[0] not in self.open:
            self.begun.popleft()
        return self.begun[0] if self.begun else self.next


class Offsets:
    """How far each partition is done, while its messages finish in any order.

    Offsets of a partition begin in rising order, with gaps where the log has them. One that begins at or below an
    earlier one says that the partition went away and came back: what was known of it is forgotten.
    """

    def __init__(self) -> None:
        self._partitions: dict[Partition, _Progress] = {}

    def began(self, partition: Partition, offset: int) -> None:
        """The message at this offset is being worked on."""
        progress = self._partitions.get(partition)
        if progress is None or offset < progress.next:
            self._partitions[partition] = progress = _Progress()
        progress.begun.append(offset)
        progress.open.add(offset)
        progress.next = offset + 1

    def finished(self, partition: Partition, offset: int) -> None:
        """It is done. Nothing happens if it is not known (any more): work that outlived its partition's stay here."""
        progress = self._partitions.get(partition)
        if progress is not None:
            progress.open.discard(offset)

    def committable(self) -> dict[Partition, int]:
        """Per known partition, the offset to read next after a crash: everything begun below it is done."""
        return {partition: progress.committable() for partition, progress in self._partitions.items()}

    async def commit(self, run: Callable[[Mapping[Partition, int]], Awaitable[None]]) -> None:
        """Commit what has moved since it was committed last. Raises what ``run`` raises: then nothing was.

        A partition that went away meanwhile and came back is read anew from what the group knows: a commit from
        before may have been too late to count, so the same offset is committed once more.
        """
        now = {partition: (progress, progress.committable()) for partition, progress in self._partitions.items()}
        moved = {partition: each for partition, each in now.items() if each[0].committed != each[1]}
        if not moved:
            return
        await run({partition: offset for partition, (_, offset) in moved.items()})
        for progress, offset in moved.values():
            progress.committed = offset

    def forget(self, partitions: Iterable[Partition]) -> None:
        """These were taken away: nothing of them may be committed any more."""
        for partition in partitions:
            self._partitions.pop(partition, None)
