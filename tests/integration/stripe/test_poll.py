"""The poller, from the sandbox's events to the log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from bothways.connectors.stripe.events import StripeEvents
from bothways.eventlog.sqlite import SqliteLog
from bothways.flow.poll import OVERLAP_SECONDS, Poller, Recent, begin, checkpoint, gap_flag
from bothways.model.errors import Forbidden, Unavailable
from bothways.model.values import Value
from bothways.ports import Message, RawEvent, Topic
from bothways.sandbox.stripe import Fault
from tests.integration.stripe.bench import StripeBench, until
from tests.simulation.catalogue import MemoryCatalogue, MemoryDatabase

TOPIC = "bothways.stripe.customer"


class FallibleLog(SqliteLog):
    """The real log, which can be told to fail."""

    broken = False

    async def append(self, messages: Sequence[Message]) -> None:
        if self.broken:
            raise Unavailable("the log is away")
        await super().append(messages)


class Setup:
    """A poller with all around it; ``restarted`` is another process's."""

    def __init__(self, bench: StripeBench, log: FallibleLog) -> None:
        self.bench = bench
        self.log = log
        self.catalogue = MemoryCatalogue(MemoryDatabase({}, random.Random(0), lambda: "id"))
        self.later = 0.0
        self.recent = Recent()
        self.feed = StripeEvents(bench.stripe, ["customer"])
        self.poller = self.restarted()

    def now(self) -> float:
        """Our clock: the sandbox's, unless it is moved."""
        return self.bench.sandbox.clock.now() + self.later

    def restarted(self) -> Poller:
        """A poller that remembers nothing but the checkpoint."""
        self.recent = Recent()
        topics = {"customer": [TOPIC]}
        return Poller(
            self.feed,
            self.catalogue,
            self.log,
            self,
            system="stripe",
            topics=topics,
            interval=0.02,
            recent=self.recent,
            pause=0.02,
        )

    async def kept(self, name: str) -> Value:
        """A checkpoint."""
        async with self.catalogue.transaction() as transaction:
            value: Value = await transaction.checkpoints.load(name)
            return value

    async def logged(self) -> list[str]:
        """The ids of the objects whose events lie on the log; each event is keyed by its object's id."""
        total = sum((await self.log.lag("nobody", [TOPIC])).values())
        found: list[str] = []
        following = self.log.follow([TOPIC], from_start=True)
        while len(found) < total:
            delivered = await anext(following)
            event = self.feed.decode(delivered.value or b"")
            assert event is not None
            assert delivered.key == event.snapshot.id.encode()
            found.append(event.snapshot.id)
        return found


@pytest.fixture
async def setup(bench: StripeBench, tmp_path: Path) -> AsyncIterator[Setup]:
    """An empty account, an empty log, a poller that has polled once."""
    log = FallibleLog(tmp_path / "log.db")
    try:
        await log.ensure([Topic(TOPIC, partitions=2)])
        made = Setup(bench, log)
        await made.poller.poll()
        yield made
    finally:
        await log.close()


async def test_what_webhooks_missed_goes_on_the_log_once(setup: Setup) -> None:
    """Each event is there after the next poll, and no later poll puts it there again."""
    made = [await setup.bench.make({"name": name}) for name in ("one", "two", "three")]
    assert await setup.poller.poll() == 3
    assert await setup.poller.poll() == 0
    assert sorted(await setup.logged()) == sorted(made)


async def test_what_was_before_the_setup_is_not_read(bench: StripeBench, tmp_path: Path) -> None:
    """The first poll begins where the setup said; what is older is the backfill's."""
    await bench.make({"name": "long ago"})
    bench.sandbox.clock.advance(2 * OVERLAP_SECONDS)
    log = FallibleLog(tmp_path / "log.db")
    try:
        await log.ensure([Topic(TOPIC)])
        setup = Setup(bench, log)
        async with setup.catalogue.transaction() as transaction:
            await begin(transaction.checkpoints, "stripe", setup.now())
        made = await bench.make({"name": "now"})
        assert await setup.poller.poll() == 1
        assert await setup.logged() == [made]
        async with setup.catalogue.transaction() as transaction:
            await begin(transaction.checkpoints, "stripe", setup.now() + 5000)
        await bench.make({"name": "after a second setup"})
        assert await setup.poller.poll() == 1
    finally:
        await log.close()


async def test_what_came_by_webhook_is_passed_over(setup: Setup) -> None:
    """Once the receiver has put it on the log; the cursor moves over it all the same."""
    await setup.bench.make({"name": "one"})
    (raw,) = await setup.feed.since(0, lambda _: False)
    setup.recent.add(raw)
    assert await setup.poller.poll() == 0
    assert await setup.logged() == []
    state = await setup.kept(checkpoint("stripe"))
    assert isinstance(state, dict)
    assert state["created"] >= raw.created


async def test_the_cursor_moves_only_after_the_log_has_them(setup: Setup) -> None:
    """A log that fails costs nothing but time, a restart included."""
    before = await setup.kept(checkpoint("stripe"))
    made = await setup.bench.make({"name": "one"})
    setup.log.broken = True
    with pytest.raises(Unavailable):
        await setup.poller.poll()
    assert await setup.kept(checkpoint("stripe")) == before
    setup.log.broken = False
    assert await setup.restarted().poll() == 1
    assert await setup.logged() == [made]


async def test_a_restart_reads_the_last_minutes_again_and_no_more(setup: Setup) -> None:
    """Events that became visible late are found; the rest is a second copy, which delivery drops."""
    await setup.bench.make({"name": "old"})
    await setup.poller.poll()
    setup.bench.sandbox.clock.advance(OVERLAP_SECONDS + 60)
    young = await setup.bench.make({"name": "young"})
    assert await setup.restarted().poll() == 2
    assert await setup.restarted().poll() == 1
    assert (await setup.logged()).count(young) == 2
    (raw,) = [each for each in await setup.feed.since(0, lambda _: False) if each.remote_id == young]
    async with setup.catalogue.transaction() as transaction:
        await transaction.journal.see("stripe", raw.id)
    assert await setup.restarted().poll() == 0, "a second copy of what was dealt with is no news"
    assert (await setup.logged()).count(young) == 3


async def test_away_for_too_long_is_said_never_passed_over(setup: Setup) -> None:
    """Past what the remote keeps, a flag asks for a comparison; it is set once and polling goes on."""
    assert await setup.kept(gap_flag("stripe")) is None
    setup.bench.sandbox.clock.advance(31 * 24 * 3600)
    made = await setup.bench.make({"name": "one"})
    await setup.restarted().poll()
    flag = await setup.kept(gap_flag("stripe"))
    assert isinstance(flag, dict)
    assert flag["from"] < setup.now() - 30 * 24 * 3600
    assert await setup.logged() == [made]
    setup.bench.sandbox.clock.advance(31 * 24 * 3600)
    await setup.poller.poll()
    assert await setup.kept(gap_flag("stripe")) == flag


async def test_a_quiet_month_is_no_gap(setup: Setup) -> None:
    """What counts is when it was last asked, not when something last happened."""
    for _ in range(5):
        setup.bench.sandbox.clock.advance(10 * 24 * 3600)
        await setup.poller.poll()
    assert await setup.kept(gap_flag("stripe")) is None


async def running(poller: Poller, while_: Callable[[], bool]) -> None:
    """Run the role until the condition holds."""
    task = asyncio.create_task(poller.run())
    try:
        await until(while_)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_role_goes_on_through_failures(setup: Setup) -> None:
    """Errors that pass are waited out; meanwhile it says why it is not ready."""
    poller = setup.restarted()
    assert poller.name == "poll stripe"
    assert poller.ready() == "has not asked yet"
    setup.bench.fault(Fault.UNAVAILABLE, times=1000)
    await running(poller, lambda: "asks again" in (poller.ready() or ""))
    setup.bench.sandbox.faults.remove()
    await running(poller, lambda: poller.ready() is None)


async def test_a_refused_key_pauses_the_role_until_it_is_taken_again(setup: Setup) -> None:
    """It stays up, says what is wrong, and goes on by itself."""

    class Locked(StripeEvents):
        """The feed of a key that has been taken back."""

        locked = True

        async def since(self, created: int, seen: Callable[[str], bool]) -> Sequence[RawEvent]:
            if self.locked:
                raise Forbidden("Stripe: the key was rolled", hint="put a valid key into api_key")
            return await super().since(created, seen)

    feed = Locked(setup.bench.stripe, ["customer"])
    setup.feed = feed
    poller = setup.restarted()
    await running(poller, lambda: (poller.ready() or "").startswith("paused"))
    assert "valid key" in (poller.ready() or "")
    feed.locked = False
    await running(poller, lambda: poller.ready() is None)


async def test_recent_ids_are_bounded() -> None:
    """The oldest are forgotten, and one that is seen again counts as young."""
    recent = Recent(limit=2)
    events = [RawEvent(f"evt_{number}", "customer", "cus_1", number, b"") for number in range(3)]
    recent.add(events[0])
    recent.add(events[1])
    recent.add(events[0])
    recent.add(events[2])
    assert [recent.created(event.id) for event in events] == [0, None, 2]
