"""The Kafka log passes the suite, and does what only it does."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # ConfigResource is exported, and not declared so
    AdminClient,
    ConfigResource,
)
from confluent_kafka.cimpl import NewTopic

from bothways.eventlog.kafka import KafkaLog
from bothways.eventlog.kafka.appender import Headers
from bothways.model.errors import Forbidden, Refused, Unavailable
from bothways.ports import Message, Partition, Topic
from tests.servers.kafka import LOGIN
from tests.servers.shared import free_ports
from tests.suites.log.append import AppendSuite
from tests.suites.log.groups import GroupSuite
from tests.suites.log.programs import KEYS
from tests.suites.log.reading import ReadingSuite
from tests.suites.log.support import PARTITIONS, collect, everything, moments, next_offsets, numbers, unique


def make_topic(servers: str, word: str, config: dict[str, str]) -> str:
    """A topic of one partition with settings that ours do not have."""
    name = unique(word)
    asked = [NewTopic(name, 1, -1, config={"segment.ms": "100", "file.delete.delay.ms": "100", **config})]
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics(asked)[name].result(30.0)
    return name


class KafkaFixtures:
    """This run's Kafka."""

    @pytest.fixture
    def url(self, kafka_url: str) -> str:
        return kafka_url

    @pytest.fixture
    def options(self) -> dict[str, str]:
        """Members that die are missed soon."""
        return {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}

    @pytest.fixture
    async def compacting(self, kafka_servers: str) -> AsyncIterator[tuple[KafkaLog, str]]:
        config = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "100"}
        log = KafkaLog(kafka_servers)
        yield log, make_topic(kafka_servers, "compacted", config)
        await log.close()

    @pytest.fixture
    async def forgetful(self, kafka_servers: str) -> AsyncIterator[tuple[KafkaLog, str]]:
        log = KafkaLog(kafka_servers)
        yield log, make_topic(kafka_servers, "forgetful", {"retention.ms": "200"})
        await log.close()


class TestAppend(KafkaFixtures, AppendSuite):
    """Appending."""


class TestGroups(KafkaFixtures, GroupSuite):
    """Groups, by the classic protocol."""


class TestReading(KafkaFixtures, ReadingSuite):
    """Reading."""


class TestGroupsSharedByTheBroker(KafkaFixtures):
    """What differs when the broker shares out the partitions (KIP-848)."""

    @pytest.fixture
    def options(self) -> dict[str, str]:
        return {"group.protocol": "consumer"}

    log = GroupSuite.log
    other = GroupSuite.other
    topic = GroupSuite.topic
    test_members_share_the_partitions = GroupSuite.test_members_share_the_partitions
    test_who_lost_a_partition_cannot_commit_it = GroupSuite.test_who_lost_a_partition_cannot_commit_it
    test_a_member_that_is_killed_is_replaced = GroupSuite.test_a_member_that_is_killed_is_replaced


async def test_many_at_once_are_as_many_one_by_one(kafka_servers: str) -> None:
    """Numbered, ordered and partitioned alike; one that is refused stops there, and what came before it counts."""
    log = KafkaLog(kafka_servers)
    topic = unique("topic")
    await log.ensure([Topic(topic, partitions=PARTITIONS)])
    appender = log.appender()
    many: list[tuple[str, bytes | None, bytes | None, Headers]] = [
        (topic, b"k%d" % (n % KEYS), b"%d" % n, [("n", b"%d" % n)]) for n in range(1_000)
    ]
    assert appender.append_many(many) == 1_000
    assert appender.append(Message(topic, None, None)) == 1_001
    large: tuple[str, bytes, bytes, Headers] = (topic, b"k", bytes(2_000_000), [])
    with pytest.raises(Refused):
        appender.append_many([(topic, None, b"last", []), large, (topic, b"k", b"never", [])])
    assert await asyncio.to_thread(appender.flush, 30.0) == 1_002
    appender.close()
    found = await everything(log, topic, 1_002)
    for remainder in range(KEYS):
        of_key = [d for d in found if d.key == b"k%d" % remainder]
        assert numbers(of_key) == list(range(remainder, 1_000, KEYS))
        assert all(d.header("n") == d.value and d.partition == log.partition_of(topic, d.key) for d in of_key)
    assert [(d.partition, d.value) for d in found if d.key is None] == [(0, None), (0, b"last")]
    await log.close()


async def test_a_slow_reader_stays_a_member_and_misses_nothing(kafka_servers: str) -> None:
    """With thousands waiting it takes its time, and commits meanwhile; then everything comes, in order, once."""
    log = KafkaLog(kafka_servers)
    topic, group = unique("topic"), unique("group")
    await log.ensure([Topic(topic, partitions=1)])
    await log.append([Message(topic, b"k", b"%d" % n) for n in range(8_000)])
    lost: list[Partition] = []
    consumer = log.consumer(group, [topic], lost.extend)
    found = [*await consumer.poll(10, 30.0)]
    for _ in range(3):
        await asyncio.sleep(0.6)  # in all longer than the consumer waits before it stops fetching
        await consumer.commit(next_offsets(found))
    while len(found) < 8_000:
        found += await collect(consumer, 1)
    assert numbers(found) == list(range(8_000))
    assert not lost
    await consumer.close()
    await log.close()


async def test_brokers_that_are_not_there_are_a_passing_trouble() -> None:
    """Whoever appends or reads is told so, again and again if need be, and nothing crashes or hangs."""
    log = KafkaLog(f"127.0.0.1:{free_ports(1)[0]}", {"message.timeout.ms": "300", "log_level": "0"})
    with pytest.raises(Unavailable):
        await log.append([Message("t", b"k", b"v")])
    consumer = log.consumer("g", ["t"], lambda _: None)
    told = 0
    async for _ in moments():
        try:
            assert not await consumer.poll(1, 0.1)
        except Unavailable:
            told += 1
        if told == 2:
            break
    await consumer.close()
    appender = log.appender()
    assert appender.append(Message("t", b"k", b"v")) == 1
    assert appender.durable() == 0
    assert appender.flush(0.5) == 0  # as long as it takes: nothing is given up
    appender.close()
    with pytest.raises(Unavailable):
        appender.durable()
    await log.close()


async def test_a_topic_that_takes_less_than_is_usual_gets_smaller_batches(kafka_servers: str) -> None:
    """All that fits by itself arrives; what does not is refused at once, and the error says how to mend it."""
    topic = make_topic(kafka_servers, "narrow", {"max.message.bytes": "10000"})
    log = KafkaLog(kafka_servers)
    await log.ensure([Topic(topic, partitions=1)])
    appender = await asyncio.to_thread(log.appender)
    assert appender.large_bytes < 10_000
    for _ in range(100):
        appender.append(Message(topic, b"k", os.urandom(1_000)))
    with pytest.raises(Refused, match=topic) as refused:
        appender.append(Message(topic, b"k", bytes(20_000)))
    assert f"--entity-name {topic} --add-config max.message.bytes=" in refused.value.hint
    assert await asyncio.to_thread(appender.flush, 30.0) == 100
    appender.close()
    await asyncio.gather(*(log.append([Message(topic, b"k", os.urandom(5_000))]) for _ in range(20)))
    assert len(await everything(log, topic, 120)) == 120
    await log.close()


async def test_nothing_follows_a_message_that_a_broker_refused(kafka_servers: str) -> None:
    """Or it would be taken for a sign that all before it are there."""
    topic = make_topic(kafka_servers, "narrow", {"max.message.bytes": "10000"})
    log = KafkaLog(kafka_servers, {"linger.ms": "0"})
    appender = log.appender()
    appender.append(Message(topic, b"k", b"first"))
    assert await asyncio.to_thread(appender.flush, 30.0) == 1
    appender.append(Message(topic, b"k", os.urandom(20_000)))

    def go_on() -> None:
        """Until it is heard that one was refused."""
        for number in range(1_000):
            appender.append(Message(topic, b"k", b"%d" % number))
            time.sleep(0.005)

    with pytest.raises((Refused, Unavailable)):
        await asyncio.to_thread(go_on)
    appender.close()
    assert [d.value for d in (await log.tails([topic])).values()] == [b"first"]
    await log.close()


async def test_a_login_that_is_refused_is_no_passing_trouble(kafka_guarded: str) -> None:
    """Appending, reading and asking are ``Forbidden`` soon, not after a time-out; no error shows the password."""
    log = KafkaLog(kafka_guarded, {**LOGIN, "sasl.password": "wr0ngpassword", "log_level": "0"})
    consumer = log.consumer("g", ["t"], lambda _: None)
    appender = log.appender()
    appender.append(Message("t", b"k", b"v"))
    refusals = []
    async with asyncio.timeout(9):  # less than any time-out for brokers that do not answer
        for refused in (
            log.append([Message("t", b"k", b"v")]),
            consumer.poll(1, 60.0),
            asyncio.to_thread(appender.flush, 60.0),
            log.ensure([Topic("t")]),
        ):
            with pytest.raises(Forbidden) as refusal:
                await refused
            refusals.append(refusal.value)
    for error in refusals:
        assert "wr0ngpassword" not in repr(error) + str(error)
    appender.close()
    await consumer.close()
    await log.close()


async def test_a_login_that_is_right_works(kafka_guarded: str) -> None:
    """The options reach every client that a log is made of."""
    log = KafkaLog(kafka_guarded, LOGIN)
    topic = unique("topic")
    await log.ensure([Topic(topic, partitions=1)])
    await log.append([Message(topic, b"k", b"1")])
    appender = log.appender()
    appender.append(Message(topic, b"k", b"2"))
    assert await asyncio.to_thread(appender.flush, 30.0) == 1
    appender.close()
    consumer = log.consumer(unique("group"), [topic], lambda _: None)
    assert numbers(await collect(consumer, 2)) == [1, 2]
    assert numbers(list((await log.tails([topic])).values())) == [2]
    await consumer.close()
    await log.close()


async def test_topics_are_made_with_their_retention(kafka_servers: str) -> None:
    """Where a topic is compacted the broker is told when at the latest; a topic that passes is told how long."""
    compacted, passing = unique("compacted"), unique("passing")
    log = KafkaLog(kafka_servers)
    await log.ensure(
        [Topic(compacted, compacted=True, retention_seconds=3600.0), Topic(passing, retention_seconds=60.0)]
    )
    await log.close()
    admin = AdminClient({"bootstrap.servers": kafka_servers})
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in (compacted, passing)]
    first, second = (answer.result(30.0) for answer in admin.describe_configs(asked).values())
    assert (first["cleanup.policy"].value, first["max.compaction.lag.ms"].value) == ("compact", "3600000")
    assert (second["cleanup.policy"].value, second["retention.ms"].value) == ("delete", "60000")


async def test_how_topics_stand_is_told_with_what_mends_it(kafka_servers: str) -> None:
    """One that is as it should be, one that is missing, one that is cut short and one that is not compacted."""
    small = make_topic(kafka_servers, "small", {"max.message.bytes": "1000"})
    wrong = make_topic(kafka_servers, "wrong", {"cleanup.policy": "delete"})
    well, missing = unique("well"), unique("missing")
    log = KafkaLog(kafka_servers)
    await log.ensure([Topic(well, partitions=2)])
    wanted = [Topic(well, partitions=2), Topic(small, partitions=1), Topic(wrong, compacted=True), Topic(missing)]
    found = {each.what: each for each in await log.examine(wanted)}
    await log.close()
    grades = {what.removeprefix("log: topic "): each.grade.value for what, each in found.items()}
    assert grades == {"log": "ok", "log: topics": "warning", well: "ok", small: "fault", wrong: "warning"}
    assert missing in found["log: topics"].found
    assert found["log: topics"].mend == "bothways setup"
    mend = f"kafka-configs.sh --bootstrap-server {kafka_servers} --alter --topic"
    assert found[f"log: topic {small}"].mend.startswith(f"{mend} {small} --add-config max.message.bytes=")
    assert found[f"log: topic {wrong}"].mend == f"{mend} {wrong} --add-config cleanup.policy=compact"
