"""Commits, from the event loop that wants them to the thread that may make them.

confluent-kafka lets one thread at a time into a consumer, and one that polls comes back before others get in: so the
thread that polls makes the commits too, one request at a time, and goes on polling while the broker answers.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bothways.eventlog.kafka.errors import FORBIDDEN, reason, translated
from bothways.eventlog.loops import call_soon
from bothways.model.errors import BothwaysError, Unavailable
from bothways.ports import Partition

_GIVE_UP_SECONDS = 10.0
_RETRY_SECONDS = 0.05


@dataclass(slots=True)
class _Request:
    """What is being committed, for whom."""

    offsets: dict[Partition, int]
    waiting: list[asyncio.Future[None]]
    give_up: float = field(default_factory=lambda: time.monotonic() + _GIVE_UP_SECONDS)
    try_at: float | None = 0.0
    """None while the broker has it."""


class Commits:
    """``ours`` holds the partitions that may be committed; it changes as they come and go."""

    def __init__(self, doing: str, ours: Container[Partition]) -> None:
        self._doing = doing
        self._ours = ours
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._wanted: list[tuple[Mapping[Partition, int], asyncio.Future[None]]] = []
        self._request: _Request | None = None

    # On the event loop.

    def make(self, offsets: Mapping[Partition, int]) -> asyncio.Future[None]:
        """Done when they are stored, or their partitions are somebody else's."""
        done = self._loop.create_future()
        with self._lock:
            self._wanted.append((offsets, done))
        return done

    # In the thread that polls.

    @property
    def busy(self) -> bool:
        """Whether there is something to do soon."""
        return bool(self._wanted) or self._request is not None

    def serve(self, consumer: Consumer) -> None:
        """Take the next step."""
        now = time.monotonic()
        if self._request is None:
            self._request = self._next()
        request = self._request
        if request is None:
            return
        if now > request.give_up:
            self._finish(Unavailable(f"{self._doing}: the broker does not answer a commit"))
        elif request.try_at is not None and now >= request.try_at:
            self._send(consumer, request)

    def answered(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """librdkafka's ``on_commit``."""
        if self._request is None:
            return  # given up
        problems = [error, *(each.error for each in partitions)]
        problem = next((each for each in problems if each is not None), None)
        if problem is None or problem.code() == KafkaError._NO_OFFSET:
            self._finish(None)
        elif problem.code() in FORBIDDEN:
            self._finish(translated(problem, self._doing))
        else:
            # A coordinator that moves, or a rebalance: partitions that stay ours can be committed after it, even where
            # this one was refused for its old generation; those that do not will be missing from ours.
            self._request.try_at = time.monotonic() + _RETRY_SECONDS

    def forget(self, gone: Container[Partition]) -> None:
        """These were taken away. Should they come back, what was wanted before is old."""
        with self._lock:
            self._wanted = [(_without(gone, offsets), done) for offsets, done in self._wanted]
        if self._request is not None:
            self._request.offsets = _without(gone, self._request.offsets)

    def close(self) -> None:
        """What is not stored will not be."""
        while (request := self._request or self._next()) is not None:
            self._request = request
            self._finish(Unavailable(f"{self._doing}: the consumer is closed"))

    def _next(self) -> _Request | None:
        """All that is wanted, as one request."""
        with self._lock:
            wanted, self._wanted = self._wanted, []
        if not wanted:
            return None
        merged = {partition: offset for offsets, _ in wanted for partition, offset in offsets.items()}
        return _Request(merged, [done for _, done in wanted])

    def _send(self, consumer: Consumer, request: _Request) -> None:
        offsets = [TopicPartition(*each, offset) for each, offset in request.offsets.items() if each in self._ours]
        if not offsets:
            self._finish(None)
            return
        request.try_at = None
        try:
            consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self.answered(reason(error), ())

    def _finish(self, error: BothwaysError | None) -> None:
        assert self._request is not None
        waiting, self._request = self._request.waiting, None
        call_soon(self._loop, partial(_settle, waiting, error))


def _without(gone: Container[Partition], offsets: Mapping[Partition, int]) -> dict[Partition, int]:
    return {partition: offset for partition, offset in offsets.items() if partition not in gone}


def _settle(waiting: Sequence[asyncio.Future[None]], error: BothwaysError | None) -> None:
    for done in waiting:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
