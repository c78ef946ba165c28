"""Kafka that is not there: told once, not several times a second."""

from __future__ import annotations

import logging
import socket

import pytest

from bothways.eventlog.kafka import KafkaLog
from bothways.eventlog.kafka.sparing import Sparing
from bothways.insight.seldom import Seldom
from bothways.model.errors import Unavailable


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
