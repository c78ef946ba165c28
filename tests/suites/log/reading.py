"""Reading without a group."""

from __future__ import annotations

import asyncio

import pytest

from bothways.ports import Delivered, Message, Partition
from tests.suites.log.programs import numbered
from tests.suites.log.support import (
    PATIENCE_SECONDS,
    AnyLog,
    LogFixtures,
    collect,
    everything,
    moments,
    numbers,
    unique,
    upto,
)


class ReadingSuite(LogFixtures):
    """Reading without a group."""

    async def test_follow_from_now_on_shows_what_comes(self, log: AnyLog, other: AnyLog, topic: str) -> None:
        """Nothing of what was there, and everything from then on, whoever appends it."""
        await log.append([Message(topic, b"old", b"-1")])
        seen: list[int] = []

        async def read() -> None:
            async for message in log.follow([topic], from_start=False):
                seen.extend(numbers([message]))

        task = asyncio.create_task(read())
        sent = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(seen) < 10:
                await other.append([Message(topic, b"new", b"%d" % sent)])
                sent += 1
                await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert seen[0] >= 0

    async def test_tails_are_the_last_messages(self, log: AnyLog, topic: str) -> None:
        """Of each partition that has one; topics that are not there have none."""
        assert await log.tails([topic, unique("missing")]) == {}
        await log.append([numbered(topic, n) for n in range(100)])
        last: dict[Partition, Delivered] = {}
        for message in await everything(log, topic, 100):
            last[message.topic, message.partition] = message
        assert await log.tails([topic]) == last

    async def test_a_compacted_topic_keeps_the_last_of_each_key(self, compacting: tuple[AnyLog, str]) -> None:
        """Older ones go, the order stays; readers, tails and offsets get along with the gaps."""
        log, topic = compacting
        await log.append([Message(topic, b"%d" % (n % 5), b"%d" % n) for n in range(500)])
        number = 500
        async for _ in moments():
            # Kafka cleans only what lies before the newest messages, so let there be some.
            await log.append([Message(topic, b"last", b"%d" % number)])
            number += 1
            (tail,) = (await log.tails([topic])).values()
            left = await upto(log, tail)
            if sum(message.key != b"last" for message in left) == 5:
                break
        assert numbers(left)[:5] == [495, 496, 497, 498, 499]
        assert numbers([tail]) == [number - 1]
        assert tail.offset == number - 1
        consumer = log.consumer(unique("group"), [topic], lambda _: None)
        assert numbers(await collect(consumer, len(left)))[:5] == [495, 496, 497, 498, 499]
        await consumer.close()

    async def test_what_is_older_than_the_topic_keeps_goes(self, forgetful: tuple[AnyLog, str]) -> None:
        """Old messages vanish; a group that had not read them goes on with what is there."""
        log, topic = forgetful
        group = unique("group")
        await log.append([Message(topic, b"k", b"%d" % n) for n in range(100)])
        async for _ in moments():
            if sum((await log.lag(group, [topic])).values()) <= 1:
                break
        await log.append([Message(topic, b"k", b"new")])
        consumer = log.consumer(group, [topic], lambda _: None)
        found = await consumer.poll(10, PATIENCE_SECONDS)
        assert found[-1].offset == 100
        assert found[-1].value == b"new"
        assert len(found) <= 2
        await consumer.close()
