"""What every log must do. An adapter's tests inherit the classes and give the fixtures that say which log it is:

``url`` and ``options`` as the settings have them; ``compacting``: a log, and the name of a compacted topic on it that
is cleaned as soon as it can be; ``forgetful``: a log, and the name of a topic on it that keeps nothing for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import IO, TypeAlias

import pytest

from bothways.eventlog import open_log
from bothways.eventlog.kafka import KafkaLog
from bothways.eventlog.sqlite import SqliteLog
from bothways.model.errors import Refused
from bothways.ports import Consumer, Delivered, Message, Partition, Topic
from tests.servers.shared import REPOSITORY
from tests.suites.log_programs import KEYS, numbered

AnyLog: TypeAlias = SqliteLog | KafkaLog

PARTITIONS = 4
PATIENCE_SECONDS = 30.0
"""For what takes a moment; reached by nothing that works."""


def unique(word: str) -> str:
    """A name that no other test uses."""
    return f"{word}-{uuid.uuid4().hex[:12]}"


def numbers(messages: Sequence[Delivered]) -> list[int]:
    """What ``numbered`` messages tell."""
    return [int(message.value or b"") for message in messages]


async def collect(consumer: Consumer, count: int) -> list[Delivered]:
    """The next ``count`` messages (or a few more, if they come together)."""
    found: list[Delivered] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            found += await consumer.poll(100, 1.0)
    return found


async def everything(log: AnyLog, topic: str, count: int) -> list[Delivered]:
    """The topic from its oldest message on, until ``count`` were seen."""
    found: list[Delivered] = []
    async with asyncio.timeout(PATIENCE_SECONDS), contextlib.aclosing(following(log, topic, from_start=True)) as read:
        async for message in read:
            found.append(message)
            if len(found) == count:
                break
    return found


async def upto(log: AnyLog, tail: Delivered) -> list[Delivered]:
    """A topic of one partition from its oldest message to this one."""
    found: list[Delivered] = []
    async with contextlib.aclosing(following(log, tail.topic, from_start=True)) as read:
        async for message in read:
            found.append(message)
            if message.offset >= tail.offset:
                break
    return found


async def following(log: AnyLog, topic: str, *, from_start: bool) -> AsyncGenerator[Delivered, None]:
    """``follow`` as a generator that can be closed."""
    async for message in log.follow([topic], from_start=from_start):
        yield message


async def moments() -> AsyncIterator[None]:
    """Looks, a moment apart, for what cannot be waited for. Raises ``TimeoutError`` when it does not come."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            yield
            await asyncio.sleep(0.1)


def next_offsets(messages: Sequence[Delivered]) -> dict[Partition, int]:
    """What to commit after these."""
    return {(message.topic, message.partition): message.offset + 1 for message in messages}


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """One of the programs beside this module, killed at the end, and what it says."""
    command = [sys.executable, "-m", "tests.suites.log_programs", *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


class LogFixtures:
    """The log under test, and a topic of the test's own."""

    @pytest.fixture
    def options(self) -> dict[str, str]:
        """The settings' options for the log."""
        return {}

    @pytest.fixture
    async def log(self, url: str, options: dict[str, str], tmp_path: Path) -> AsyncIterator[AnyLog]:
        """The log."""
        log = open_log(url, options, tmp_path)
        yield log
        await log.close()

    @pytest.fixture
    async def other(self, url: str, options: dict[str, str], tmp_path: Path) -> AsyncIterator[AnyLog]:
        """The same log, opened once more, as by another process."""
        log = open_log(url, options, tmp_path)
        yield log
        await log.close()

    @pytest.fixture
    async def topic(self, log: AnyLog) -> str:
        """An empty topic of four partitions."""
        name = unique("topic")
        await log.ensure([Topic(name, partitions=PARTITIONS)])
        return name


class AppendSuite(LogFixtures):
    """Appending and reading back."""

    async def test_a_message_comes_back_as_it_was(self, log: AnyLog, topic: str) -> None:
        """Key, value, headers (repeated and empty ones too), tombstones and empty values survive."""
        headers = (("bothways.position", b"7:1:2"), ("twice", b"a"), ("twice", b""), ("bytes", bytes(range(256))))
        sent = [
            Message(topic, b'{"id":1}', b'{"op":"c"}', headers),
            Message(topic, b'{"id":1}', b""),
            Message(topic, b'{"id":1}', None, headers[:1]),
        ]
        await log.append(sent)
        found = await everything(log, topic, 3)
        assert [(d.key, d.value, d.headers) for d in found] == [(m.key, m.value, m.headers) for m in sent]
        assert found[0].header("twice") == b""
        assert [d.offset for d in found] == [0, 1, 2]

    async def test_keys_go_where_javas_clients_put_them(self, log: AnyLog, topic: str) -> None:
        """The partition is that of Java's default partitioner, and the one that ``partition_of`` foretells."""
        java = {b"21": 0, b"foobar": 2, b"a-little-bit-long-string": 0, b"a-little-bit-longer-string": 3, b"abc": 3}
        await log.append([Message(topic, key, b"") for key in java])
        found = {d.key: d.partition for d in await everything(log, topic, len(java))}
        assert found == java
        assert {key: log.partition_of(topic, key) for key in java} == java

    async def test_messages_without_a_key_have_a_known_place(self, log: AnyLog, topic: str) -> None:
        """They lie where ``partition_of`` says, like all others."""
        await log.append([Message(topic, None, b"%d" % n) for n in range(10)])
        assert {d.partition for d in await everything(log, topic, 10)} == {log.partition_of(topic, None)}

    async def test_an_appender_keeps_the_order_of_each_key(self, log: AnyLog, topic: str) -> None:
        """However fast they come; and all that was appended counts as durable in the end, numbered from 1."""
        count = 5_000

        def append() -> tuple[list[int], int]:
            appender = log.appender()
            given = [appender.append(numbered(topic, n)) for n in range(count)]
            durable = appender.flush(PATIENCE_SECONDS)
            appender.close()
            return given, durable

        given, durable = await asyncio.to_thread(append)
        assert given == list(range(1, count + 1))
        assert durable == count
        found = await everything(log, topic, count)
        for remainder in range(KEYS):
            of_key = [n for n in numbers(found) if n % KEYS == remainder]
            assert of_key == list(range(remainder, count, KEYS))

    async def test_an_append_that_returned_is_on_the_log(self, log: AnyLog, other: AnyLog, topic: str) -> None:
        """Many at once from the loop: each is there for others when its call returns."""

        async def append(number: int) -> None:
            await log.append([numbered(topic, number)])

        await asyncio.gather(*(append(n) for n in range(200)))
        tails = await other.tails([topic])
        assert sum(d.offset + 1 for d in tails.values()) == 200
        assert sorted(numbers(await everything(other, topic, 200))) == list(range(200))

    async def test_a_large_message_fits_and_a_larger_one_is_refused(self, log: AnyLog, topic: str) -> None:
        """A megabyte passes; more is refused at once with what to do, and harms nothing that follows."""
        megabyte = bytes(1_000_000)
        appender = log.appender()
        appender.append(Message(topic, b"k", megabyte))
        with pytest.raises(Refused) as refusal:
            appender.append(Message(topic, b"k", megabyte * 2))
        assert refusal.value.hint
        with pytest.raises(Refused):
            await log.append([Message(topic, b"k", megabyte * 2)])
        assert appender.append(Message(topic, b"k", b"small")) == 2
        assert await asyncio.to_thread(appender.flush, PATIENCE_SECONDS) == 2
        appender.close()
        assert [d.value for d in await everything(log, topic, 2)] == [megabyte, b"small"]

    async def test_a_compacted_topic_takes_no_message_without_a_key(self, log: AnyLog) -> None:
        """It would be refused by the brokers, so it is refused everywhere."""
        name = unique("compacted")
        await log.ensure([Topic(name, compacted=True, partitions=1)])
        with pytest.raises(Refused, match="key"):
            await log.append([Message(name, None, b"")])
        await log.append([Message(name, b"k", b"")])
        assert [d.key for d in await everything(log, name, 1)] == [b"k"]

    async def test_a_topic_that_exists_is_left_as_it_is(self, log: AnyLog, other: AnyLog, topic: str) -> None:
        """Asking for it again, with other wishes, changes nothing and loses nothing."""
        await log.append([numbered(topic, 1)])
        await other.ensure([Topic(topic, compacted=True, partitions=PARTITIONS * 2), Topic(unique("new"))])
        assert log.partition_of(topic, b"foobar") == other.partition_of(topic, b"foobar") == 2
        assert numbers(await everything(other, topic, 1)) == [1]

    async def test_two_processes_append_to_one_topic(
        self, log: AnyLog, topic: str, url: str, options: dict[str, str]
    ) -> None:
        """Each one's order holds, and nothing of either is lost."""
        with program("write", url, json.dumps(options), topic, "1000000", "2000") as (process, said):
            assert said.readline()  # it is under way
            for start in range(0, 2_000, 100):
                await log.append([numbered(topic, n) for n in range(start, start + 100)])
            assert await asyncio.to_thread(process.wait) == 0
        found = numbers(await everything(log, topic, 4_000))
        for remainder in range(KEYS):
            ours = [n for n in found if n < 1_000_000 and n % KEYS == remainder]
            theirs = [n for n in found if n >= 1_000_000 and n % KEYS == remainder]
            assert ours == [n for n in range(2_000) if n % KEYS == remainder]
            assert theirs == [n for n in range(1_000_000, 1_002_000) if n % KEYS == remainder]

    async def test_what_was_told_durable_survives_a_kill(
        self, log: AnyLog, topic: str, url: str, options: dict[str, str]
    ) -> None:
        """A process that appends is killed at any moment: what it was told is there, in order, once."""
        chance = random.Random(7)
        told = []
        for turn in range(4):
            start = turn * 10_000_000
            with program("write", url, json.dumps(options), topic, str(start), "10000000") as (process, said):
                for _ in range(chance.randrange(1, 40)):
                    upto = int(said.readline())
                await asyncio.sleep(chance.random() * 0.02)
                process.kill()
                rest = said.read().split()
            told.append(range(start, int(rest[-1]) if rest else upto))
        tails = await log.tails([topic])
        found = numbers(await everything(log, topic, sum(d.offset + 1 for d in tails.values())))
        assert len(set(found)) == len(found)
        for expected in told:
            for remainder in range(KEYS):
                of_key = [n for n in found if n // 10_000_000 == expected.start // 10_000_000 and n % KEYS == remainder]
                confirmed = [n for n in expected if n % KEYS == remainder]
                assert of_key[: len(confirmed)] == confirmed
                assert of_key == sorted(of_key)


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
