"""The Kafka log passes the suite, and does what only it does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bothways.eventlog.kafka import KafkaLog
from tests.suites.log import AppendSuite, GroupSuite, ReadingSuite, unique


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
