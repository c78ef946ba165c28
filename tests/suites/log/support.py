"""What the suites share: the log under test, reading with patience, and other processes."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import pytest

from bothways.eventlog import open_log
from bothways.ports import Consumer, Delivered, Log, LogReading, Partition, Topic
from tests.servers.shared import REPOSITORY


class AnyLog(Log, LogReading, Protocol):
    """Both ports, as every adapter has them."""

    async def close(self) -> None:
        """Let go."""
        ...


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
    command = [sys.executable, "-m", "tests.suites.log.programs", *arguments]
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
