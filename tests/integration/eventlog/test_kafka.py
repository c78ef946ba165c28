"""The Kafka log passes the suite, and does what only it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bothways.eventlog.kafka import KafkaLog
from bothways.model.errors import Forbidden, Unavailable
from bothways.ports import Message, Topic
from tests.servers.kafka import running
from tests.servers.shared import free_ports
from tests.suites.log import AppendSuite, GroupSuite, ReadingSuite, moments, unique

SASL = {
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.plaintext.plain.sasl.jaas.config": (
        "org.apache.kafka.common.security.plain.PlainLoginModule required"
        ' username="app" password="right" user_app="right";'
    ),
}


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
    with pytest.raises(Unavailable):
        appender.flush(10.0)
    with pytest.raises(Unavailable):
        appender.durable()
    appender.close()
    await log.close()


async def test_a_login_that_is_refused_is_no_passing_trouble(tmp_path: Path) -> None:
    """Appending, reading and asking are ``Forbidden`` soon, not after a time-out; no error shows the password."""
    login = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "PLAIN", "sasl.username": "app"}
    wrong = {**login, "sasl.password": "wr0ngpassword", "log_level": "0"}
    with running(tmp_path, SASL, {**login, "sasl.password": "right"}) as servers:
        log = KafkaLog(servers, wrong)
        consumer = log.consumer("g", ["t"], lambda _: None)
        appender = log.appender()
        appender.append(Message("t", b"k", b"v"))
        refusals = []
        async with asyncio.timeout(8):  # less than any time-out for brokers that do not answer
            for refused in (
                log.append([Message("t", b"k", b"v")]),
                consumer.poll(1, 60.0),
                asyncio.to_thread(appender.flush, 60.0),
            ):
                with pytest.raises(Forbidden) as refusal:
                    await refused
                refusals.append(refusal.value)
        with pytest.raises(Forbidden) as refusal:
            await log.ensure([Topic("t")])
        for error in (*refusals, refusal.value):
            assert "wr0ngpassword" not in repr(error) + str(error)
        appender.close()
        await consumer.close()
        await log.close()
