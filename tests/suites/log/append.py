"""Appending and reading back."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from bothways.model.errors import Refused, Unavailable
from bothways.ports import Message, Topic
from tests.suites.log.programs import KEYS, numbered
from tests.suites.log.support import (
    PARTITIONS,
    PATIENCE_SECONDS,
    AnyLog,
    LogFixtures,
    everything,
    numbers,
    program,
    unique,
)


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

    async def test_what_was_abandoned_leaves_no_gap(self, log: AnyLog, topic: str) -> None:
        """Of each partition a beginning is on the log, nothing comes later, and nothing can be appended any more."""
        appender = await asyncio.to_thread(log.appender)
        for number in range(20_000):
            appender.append(numbered(topic, number))
            if number == 10_000:
                assert await asyncio.to_thread(appender.flush, PATIENCE_SECONDS)
        assert await asyncio.to_thread(appender.abandon, PATIENCE_SECONDS)
        with pytest.raises(Unavailable):
            appender.append(numbered(topic, 1))
        appender.close()
        ends = await log.tails([topic])
        found = numbers(await everything(log, topic, sum(d.offset + 1 for d in ends.values())))
        for remainder in range(KEYS):
            of_key = [n for n in found if n % KEYS == remainder]
            assert of_key == list(range(remainder, 20_000, KEYS))[: len(of_key)]
        await log.append([numbered(topic, 0)])
        assert sum(d.offset + 1 for d in (await log.tails([topic])).values()) == len(found) + 1

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
