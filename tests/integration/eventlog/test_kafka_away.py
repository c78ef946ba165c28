"""Kafka that is not there: told once, not several times a second."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bothways.eventlog.kafka import KafkaLog
from bothways.eventlog.kafka.sparing import Sparing
from bothways.insight.seldom import Seldom
from bothways.model.errors import Unavailable
from bothways.ports import Message, Topic
from tests.servers.kafka import Broker
from tests.suites.log.support import everything, numbers


async def test_a_broker_that_is_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Seconds of refused connections, of several clients, make one line, a warning; the caller hears of it too."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        log = KafkaLog(f"127.0.0.1:{closed.getsockname()[1]}")
        for _ in range(2):
            with pytest.raises(Unavailable):
                await log.tails(["some"])
        await log.close()
    lines = [each for each in caplog.records if each.name == "bothways.eventlog.kafka"]
    assert [each.levelno for each in lines] == [logging.WARNING], [each.getMessage() for each in lines]


def test_the_same_comes_again_after_a_minute() -> None:
    """Another broker or another kind of line is heard at once, the same kind when its time is over."""
    now = [0.0]
    sparing = Sparing(Seldom(60.0, lambda: now[0]))

    def heard(facility: str, broker: str) -> bool:
        arguments = (facility, "bothways#producer-1", f"[thrd:{broker}]: {broker}: refused")
        return sparing.filter(logging.LogRecord("x", logging.ERROR, "", 0, "%s [%s] %s", arguments, None))

    assert heard("FAIL", "one:9092/bootstrap")
    assert not heard("FAIL", "one:9092/1")
    assert not heard("FAIL", "one:9092/bootstrap")
    assert heard("FAIL", "two:9092/2")
    assert heard("REQTMOUT", "one:9092/1")
    now[0] = 61.0
    assert heard("FAIL", "one:9092/1")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One that can be stopped."""
    broker = Broker(tmp_path)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


async def test_an_outage_leaves_no_gap(broker: Broker) -> None:
    """However long it takes, and whatever the settings say of time-outs: nothing is given up for what comes later.

    librdkafka does that unless it is told otherwise, and who reads back the last position would miss what is not there.
    """
    log = KafkaLog(broker.servers, {"message.timeout.ms": "1000", "delivery.timeout.ms": "1000"})
    await log.ensure([Topic("t", partitions=1)])
    appender = await asyncio.to_thread(log.appender)
    appender.append(Message("t", b"k", b"0"))
    assert await asyncio.to_thread(appender.flush, 30.0) == 1
    broker.pause()

    def append_meanwhile() -> None:
        for number in range(1, 40):
            appender.append(Message("t", b"k", b"%d" % number))
            time.sleep(0.05)

    await asyncio.to_thread(append_meanwhile)
    assert appender.durable() == 1
    broker.go_on()
    assert await asyncio.to_thread(appender.flush, 30.0) == 40
    assert numbers(await everything(log, "t", 40)) == list(range(40))
    appender.close()
    await log.close()
