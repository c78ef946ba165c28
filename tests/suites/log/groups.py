"""Consumer groups."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import threading
from collections.abc import Sequence

from bothways.ports import Delivered, Message, Partition, Topic
from tests.suites.log.programs import numbered
from tests.suites.log.support import (
    PARTITIONS,
    PATIENCE_SECONDS,
    AnyLog,
    LogFixtures,
    collect,
    next_offsets,
    numbers,
    program,
    unique,
)


class GroupSuite(LogFixtures):
    """Consumer groups."""

    async def test_a_new_group_reads_all_there_is_and_goes_on_where_it_committed(self, log: AnyLog, topic: str) -> None:
        """From the oldest message; after a restart from what was committed, not from what was read."""
        group = unique("group")
        await log.append([Message(topic, b"one key", b"%d" % n) for n in range(10)])
        first = log.consumer(group, [topic], lambda _: None)
        found = await collect(first, 10)
        assert numbers(found) == list(range(10))
        await first.commit({(topic, found[0].partition): 6})
        await first.close()
        second = log.consumer(group, [topic], lambda _: None)
        assert numbers(await collect(second, 4)) == [6, 7, 8, 9]
        await second.close()

    async def test_poll_keeps_to_its_limits(self, log: AnyLog, topic: str) -> None:
        """Never more than asked for; when there is nothing it waits as long as it was told, and returns nothing."""
        loop = asyncio.get_running_loop()
        consumer = log.consumer(unique("group"), [topic], lambda _: None)
        await log.append([numbered(topic, n) for n in range(50)])
        found: list[Delivered] = []
        while len(found) < 50:
            some = await consumer.poll(7, 1.0)
            assert len(some) <= 7
            found += some
        before = loop.time()
        assert list(await consumer.poll(7, 0.2)) == []
        assert 0.15 < loop.time() - before < 5
        await consumer.close()

    async def test_a_waiting_poll_learns_of_a_message_at_once(self, log: AnyLog, other: AnyLog, topic: str) -> None:
        """Whoever appended it: this process or another."""
        loop = asyncio.get_running_loop()
        consumer = log.consumer(unique("group"), [topic], lambda _: None)
        await log.append([numbered(topic, 0)])
        await collect(consumer, 1)
        for number, writer in enumerate([log, other] * 5):
            waiting = asyncio.create_task(consumer.poll(1, PATIENCE_SECONDS))
            await asyncio.sleep(0.05)
            before = loop.time()
            await writer.append([numbered(topic, number)])
            assert numbers(await waiting) == [number]
            assert loop.time() - before < 2
        await consumer.close()

    async def test_a_cancelled_poll_loses_nothing(self, log: AnyLog, topic: str) -> None:
        """Cancelled at any moment, at once; the next one goes on where the last completed one ended."""
        chance = random.Random(3)
        consumer = log.consumer(unique("group"), [topic], lambda _: None)
        await log.append([Message(topic, b"one key", b"%d" % n) for n in range(300)])
        found: list[Delivered] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found) < 300:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(chance.random() * 0.003):
                        some = await consumer.poll(5, 10.0)
                    found += some
        assert numbers(found) == list(range(300))
        await consumer.close()

    async def test_members_share_the_partitions(self, log: AnyLog, other: AnyLog, topic: str) -> None:
        """The second member gets its half, the first hears of it, and every message has one reader."""
        group = unique("group")
        lost: list[Partition] = []
        threads = set()

        def revoked(partitions: Sequence[Partition]) -> None:
            threads.add(threading.current_thread())
            lost.extend(partitions)

        keys = [
            next(b"%d" % n for n in range(99) if log.partition_of(topic, b"%d" % n) == p) for p in range(PARTITIONS)
        ]
        await log.append([Message(topic, key, b"0") for key in keys])
        first = log.consumer(group, [topic], revoked)
        before = await collect(first, PARTITIONS)
        await first.commit(next_offsets(before))
        second = other.consumer(group, [topic], lambda _: None)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(lost) < PARTITIONS // 2:
                await asyncio.gather(first.poll(1, 0.1), second.poll(1, 0.1))
        assert len(set(lost)) == len(lost) == PARTITIONS // 2
        assert threads == {threading.current_thread()}
        await log.append([Message(topic, key, b"1") for key in keys])
        mine, theirs = await asyncio.gather(collect(first, PARTITIONS // 2), collect(second, PARTITIONS // 2))
        assert {(d.topic, d.partition) for d in theirs} == set(lost)
        assert sorted(d.partition for d in [*mine, *theirs]) == list(range(PARTITIONS))
        assert numbers([*mine, *theirs]) == [1] * PARTITIONS
        await first.close()
        await second.close()

    async def test_who_lost_a_partition_cannot_commit_it(self, log: AnyLog, other: AnyLog, topic: str) -> None:
        """A late commit is left alone, and the commits of the partitions that stayed still count."""
        group = unique("group")
        lost: list[Partition] = []
        await log.append([Message(topic, b"%d" % n, b"0") for n in range(100)])
        first = log.consumer(group, [topic], lost.extend)
        read = next_offsets(await collect(first, 100))
        assert len(read) == PARTITIONS
        second = other.consumer(group, [topic], lambda _: None)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not lost:
                await asyncio.gather(first.poll(1, 0.1), second.poll(1, 0.1))
        await first.commit(read)
        lag = await log.lag(group, [topic])
        assert all(lag[partition] == (read[partition] if partition in lost else 0) for partition in read)
        await first.close()
        await second.close()

    async def test_a_member_that_leaves_is_replaced_at_once(self, log: AnyLog, other: AnyLog, topic: str) -> None:
        """What it had not committed is delivered again, to the others, well before anybody could think it dead."""
        loop = asyncio.get_running_loop()
        group = unique("group")
        await log.append([numbered(topic, n) for n in range(40)])
        first = log.consumer(group, [topic], lambda _: None)
        await collect(first, 40)
        second = other.consumer(group, [topic], lambda _: None)
        await first.close()
        before = loop.time()
        assert sorted(numbers(await collect(second, 40))) == list(range(40))
        assert loop.time() - before < 4
        await second.close()

    async def test_a_member_that_is_killed_is_replaced(
        self, log: AnyLog, topic: str, url: str, options: dict[str, str]
    ) -> None:
        """Others take over from its last commit: what it committed is not delivered again, and the rest is."""
        group = unique("group")
        await log.append([numbered(topic, n) for n in range(200)])
        with program("read", url, json.dumps(options), topic, group, "200") as (process, said):
            committed = [int(said.readline()) for _ in range(50)]
            process.kill()
            committed += map(int, said.read().split())
        survivor = log.consumer(group, [topic], lambda _: None)
        found = numbers(await collect(survivor, 200 - len(committed) - 1))
        # It may have died after a commit and before it could say so.
        assert len(set(range(200)) - set(found) - set(committed)) <= 1
        assert not set(found) & set(committed)
        await survivor.close()

    async def test_a_member_that_was_thought_dead_commits_nothing_late(
        self, log: AnyLog, topic: str, url: str, options: dict[str, str]
    ) -> None:
        """A process that stood still, and whose partitions others took, moves no offset back when it wakes up."""
        group = unique("group")
        await log.append([numbered(topic, n) for n in range(200)])
        with program("read", url, json.dumps(options), topic, group, "50") as (process, said):
            while said.readline() != "holding\n":
                pass
            process.send_signal(signal.SIGSTOP)
            survivor = log.consumer(group, [topic], lambda _: None)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while sum((await log.lag(group, [topic])).values()):
                    await survivor.commit(next_offsets(await survivor.poll(100, 0.2)))
            process.send_signal(signal.SIGCONT)
            assert process.stdin is not None
            process.stdin.write("go on\n")
            process.stdin.flush()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.to_thread(said.readline)
            assert sum((await log.lag(group, [topic])).values()) == 0
            await survivor.close()

    async def test_groups_do_not_know_each_other(self, log: AnyLog, topic: str) -> None:
        """Each reads everything, of several topics too."""
        more = unique("topic")
        await log.ensure([Topic(more, partitions=1)])
        await log.append([numbered(topic, 1), numbered(more, 2)])
        for _ in range(2):
            consumer = log.consumer(unique("group"), [topic, more], lambda _: None)
            assert sorted(numbers(await collect(consumer, 2))) == [1, 2]
            await consumer.close()

    async def test_lag_counts_what_is_not_committed(self, log: AnyLog, topic: str) -> None:
        """Before the first commit all there is; afterwards what lies behind it."""
        group = unique("group")
        assert set((await log.lag(group, [topic])).values()) == {0}
        await log.append([Message(topic, b"foobar", b"") for _ in range(5)])
        assert await log.lag(group, [topic]) == {(topic, p): 5 if p == 2 else 0 for p in range(PARTITIONS)}
        consumer = log.consumer(group, [topic], lambda _: None)
        await collect(consumer, 5)
        await consumer.commit({(topic, 2): 3})
        assert (await log.lag(group, [topic]))[topic, 2] == 2
        await consumer.close()
