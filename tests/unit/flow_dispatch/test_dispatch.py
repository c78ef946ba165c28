"""The dispatcher: order per key, concurrency, limits, failure and stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.flow.dispatch import Dispatcher, Stopped


def nothing() -> None:
    """An item that nobody waits for."""


class Gate:
    """A handle whose calls wait until they are let through, and that notes what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []
        self.open: dict[str, asyncio.Event] = {}
        self.entered = asyncio.Event()
        self.cancelled: list[str] = []

    async def __call__(self, key: str, items: list[int]) -> None:
        self.calls.append((key, items))
        self.entered.set()
        try:
            await self.open.setdefault(key, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(key)
            raise

    def let(self, key: str) -> None:
        """From now on calls for this key return."""
        self.open.setdefault(key, asyncio.Event()).set()


async def entered(gate: Gate, calls: int) -> None:
    """Wait until that many calls have begun."""
    while len(gate.calls) < calls:
        gate.entered.clear()
        await gate.entered.wait()


async def turns(count: int = 5) -> None:
    """Let everything run that can run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_waits_for_a_key_is_handed_over_together() -> None:
    """While a call is under way, later items of its key wait, and come in one call, in order."""
    gate = Gate()
    dispatcher: Dispatcher[str, int] = Dispatcher(gate, limit=10)
    await dispatcher.put("a", 1, nothing)
    await entered(gate, 1)
    for item in (2, 3, 4):
        await dispatcher.put("a", item, nothing)
    await turns()
    assert gate.calls == [("a", [1])]
    gate.let("a")
    await dispatcher.drain()
    assert gate.calls == [("a", [1]), ("a", [2, 3, 4])]
    await dispatcher.stop()


async def test_without_coalescing_each_item_has_its_own_call() -> None:
    """``coalesce=False`` gives one item per call, still in order."""
    gate = Gate()
    gate.let("a")
    dispatcher: Dispatcher[str, int] = Dispatcher(gate, limit=10, coalesce=False)
    for item in (1, 2, 3):
        await dispatcher.put("a", item, nothing)
    await dispatcher.drain()
    assert gate.calls == [("a", [1]), ("a", [2]), ("a", [3])]
    await dispatcher.stop()


async def test_keys_do_not_wait_for_each_other() -> None:
    """A key whose call hangs holds up no other key."""
    gate = Gate()
    gate.let("quick")
    dispatcher: Dispatcher[str, int] = Dispatcher(gate, limit=10)
    finished = asyncio.Event()
    await dispatcher.put("slow", 1, nothing)
    await dispatcher.put("quick", 2, finished.set)
    await asyncio.wait_for(finished.wait(), 5)
    assert dispatcher.held == 1
    gate.let("slow")
    await dispatcher.drain()
    await dispatcher.stop()


async def test_put_waits_while_the_limit_is_held() -> None:
    """``limit`` counts items in work and items that wait, and a finished one makes room."""
    gate = Gate()
    dispatcher: Dispatcher[str, int] = Dispatcher(gate, limit=2)
    await dispatcher.put("a", 1, nothing)
    await dispatcher.put("b", 2, nothing)
    third = asyncio.create_task(dispatcher.put("c", 3, nothing))
    await turns()
    assert not third.done()
    gate.let("b")
    await asyncio.wait_for(third, 5)
    gate.let("a")
    gate.let("c")
    await dispatcher.drain()
    await dispatcher.stop()


async def test_done_is_called_after_handle_and_not_before() -> None:
    """``done`` of every item of a batch is called once, after its call has returned."""
    gate = Gate()
    done: list[int] = []
    dispatcher: Dispatcher[str, int] = Dispatcher(gate, limit=10)
    for item in (1, 2):
        await dispatcher.put("a", item, partial(done.append, item))
    await entered(gate, 1)
    assert done == []
    gate.let("a")
    await dispatcher.drain()
    assert done == [1, 2]
    await dispatcher.stop()


async def test_a_failure_reaches_every_way_in() -> None:
    """What ``handle`` raised comes out of ``put``, ``drain`` and ``failed()``; its batch is not done."""
    done: list[int] = []

    async def broken(key: str, items: list[int]) -> None:
        raise ValueError(key)

    dispatcher: Dispatcher[str, int] = Dispatcher(broken, limit=1)
    await dispatcher.put("a", 1, lambda: done.append(1))
    waiting = asyncio.create_task(dispatcher.put("b", 2, nothing))
    with pytest.raises(ValueError, match="a"):
        await dispatcher.failed()
    with pytest.raises(ValueError, match="a"):
        await waiting
    with pytest.raises(ValueError, match="a"):
        await dispatcher.put("c", 3, nothing)
    with pytest.raises(ValueError, match="a"):
        await dispatcher.drain()
    await dispatcher.stop()
    assert done == []


async def test_after_a_failure_nothing_more_begins() -> None:
    """Items that wait behind a call in work are not begun once another key has failed."""
    gate = Gate()

    async def handle(key: str, items: list[int]) -> None:
        if key == "bad":
            raise ValueError(key)
        await gate(key, items)

    dispatcher: Dispatcher[str, int] = Dispatcher(handle, limit=10)
    await dispatcher.put("a", 1, nothing)
    await entered(gate, 1)
    await dispatcher.put("a", 2, nothing)
    await dispatcher.put("bad", 3, nothing)
    with pytest.raises(ValueError, match="bad"):
        await dispatcher.failed()
    gate.let("a")
    await dispatcher.stop()
    assert gate.calls == [("a", [1])]


async def test_cancelling_the_wait_for_a_failure_does_no_harm() -> None:
    """Each ``failed()`` is a future of its own."""

    async def broken(key: str, items: list[int]) -> None:
        raise ValueError(key)

    dispatcher: Dispatcher[str, int] = Dispatcher(broken, limit=1)
    dispatcher.failed().cancel()
    second = dispatcher.failed()
    await dispatcher.put("a", 1, nothing)
    with pytest.raises(ValueError, match="a"):
        await second
    await dispatcher.stop()


async def test_a_handle_that_cancels_itself_is_a_failure() -> None:
    """A cancellation that nobody asked for does not leave items held for ever."""

    async def broken(key: str, items: list[int]) -> None:
        raise asyncio.CancelledError

    dispatcher: Dispatcher[str, int] = Dispatcher(broken, limit=1)
    await dispatcher.put("a", 1, nothing)
    with pytest.raises(RuntimeError, match="cancelled"):
        await asyncio.wait_for(dispatcher.drain(), 5)
    await dispatcher.stop()


async def test_discard_forgets_what_waits_only() -> None:
    """Queued items that match are neither handled nor done, and make room; what is in work is finished."""
    gate = Gate()
    done: list[int] = []
    dispatcher: Dispatcher[str, int] = Dispatcher(gate, limit=4)
    await dispatcher.put("a", 1, lambda: done.append(1))
    await entered(gate, 1)
    for item in (2, 3):
        await dispatcher.put("a", item, partial(done.append, item))
    await dispatcher.put("b", 4, lambda: done.append(4))
    assert dispatcher.discard(lambda item: item in (1, 2, 4)) == 2
    assert dispatcher.held == 2
    gate.let("a")
    await dispatcher.drain()
    assert done == [1, 3]
    assert gate.calls == [("a", [1]), ("a", [3])]
    await dispatcher.stop()


async def test_stop_lets_work_finish_and_forgets_what_waits() -> None:
    """What is in work is finished and done; what waits is not begun; ``put`` refuses, also one that was waiting."""
    gate = Gate()
    done: list[int] = []
    dispatcher: Dispatcher[str, int] = Dispatcher(gate, limit=2)
    await dispatcher.put("a", 1, lambda: done.append(1))
    await entered(gate, 1)
    await dispatcher.put("a", 2, lambda: done.append(2))
    waiting = asyncio.create_task(dispatcher.put("b", 3, nothing))
    await turns()
    stopping = asyncio.create_task(dispatcher.stop(timeout=60))
    with pytest.raises(Stopped):
        await waiting
    assert not stopping.done()
    gate.let("a")
    await asyncio.wait_for(stopping, 5)
    assert done == [1]
    assert gate.calls == [("a", [1])]
    with pytest.raises(Stopped):
        await dispatcher.put("a", 4, nothing)


async def test_stop_cancels_what_takes_too_long() -> None:
    """After the time-out the call is cancelled, has ended on return, and is not done."""
    gate = Gate()
    done: list[int] = []
    dispatcher: Dispatcher[str, int] = Dispatcher(gate, limit=2)
    await dispatcher.put("a", 1, lambda: done.append(1))
    await entered(gate, 1)
    await dispatcher.stop(timeout=0.01)
    assert gate.cancelled == ["a"]
    assert done == []


async def test_a_cancelled_stop_leaves_nothing_running() -> None:
    """A second signal cancels ``stop``: it cancels the work and waits for its end."""
    gate = Gate()
    dispatcher: Dispatcher[str, int] = Dispatcher(gate, limit=2)
    await dispatcher.put("a", 1, nothing)
    await entered(gate, 1)
    stopping = asyncio.create_task(dispatcher.stop(timeout=60))
    await turns()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert gate.cancelled == ["a"]


puts = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 2)), max_size=40)


@settings(max_examples=200)
@given(puts=puts, limit=st.integers(1, 6), coalesce=st.booleans())
def test_any_schedule_keeps_the_order(puts: list[tuple[str, int, int]], limit: int, coalesce: bool) -> None:
    """Whatever calls and callers take: every item handled and done once, per key in order, no two calls at a time."""

    async def run() -> None:
        handled: dict[str, list[int]] = {}
        busy: set[str] = set()
        done: list[int] = []
        held = 0

        async def handle(key: str, items: list[int]) -> None:
            assert key not in busy
            assert items
            assert coalesce or len(items) == 1
            busy.add(key)
            await turns(max(puts[item][1] for item in items))
            handled.setdefault(key, []).extend(items)
            busy.discard(key)

        def finish(item: int) -> Callable[[], None]:
            def call() -> None:
                assert item in handled[puts[item][0]]
                done.append(item)

            return call

        dispatcher: Dispatcher[str, int] = Dispatcher(handle, limit=limit, coalesce=coalesce)
        for number, (key, _, wait) in enumerate(puts):
            await dispatcher.put(key, number, finish(number))
            held = max(held, dispatcher.held)
            await turns(wait)
        await dispatcher.drain()
        await dispatcher.stop()
        assert held <= limit
        assert sorted(done) == list(range(len(puts)))
        for key, items in handled.items():
            assert items == [number for number, put in enumerate(puts) if put[0] == key]

    asyncio.run(run())
