"""Reading without a group. Every function blocks: they run in threads of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # OffsetSpec is exported, and not declared so
    AdminClient,
    ConfigResource,
    OffsetSpec,
)

from bothways.eventlog.kafka import options as settings
from bothways.eventlog.kafka.errors import FORBIDDEN, NO_TOPIC, Trouble, reason, translated
from bothways.eventlog.kafka.records import delivered
from bothways.eventlog.kafka.sizes import USUAL_BYTES, Sizes
from bothways.model.errors import Forbidden, Unavailable
from bothways.ports import Delivered, Partition

READING = "reading the log"

EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # its author left it so
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # its author left it so

T = TypeVar("T")

_LOOK_SECONDS = 1.0
"""Of the ten that an answer may take: between two looks for what may be wrong."""

_ANSWER_SECONDS = 10.0
_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
_AT_ONCE = 500
_STEP_BACK = 8
"""How much further to look back each time, where the end of a partition has no messages."""


class Questions:
    """Questions about topics and groups, by one admin client."""

    def __init__(self, servers: str, options: Mapping[str, str]) -> None:
        self._trouble = Trouble(READING)
        self._servers = servers
        try:
            self._admin = AdminClient(
                settings.asking(servers, options), error_cb=self._trouble.note, logger=settings.LOGGER
            )
        except KafkaException as error:
            raise settings.unusable(error, options) from None

    @property
    def admin(self) -> AdminClient:
        """The client itself."""
        return self._admin

    def ask(self, question: Callable[[], T], doing: str) -> T:
        """The answer. While brokers come and leaders move, which new topics and groups begin with, ask again."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                return question()
            except KafkaException as error:
                # A login that was refused shows as a time-out here, and as what it is elsewhere.
                self._admin.poll(0)
                trouble = self._trouble.take()
                if isinstance(trouble, Forbidden):
                    raise trouble from None
                if reason(error).code() not in _PASSING or time.monotonic() > deadline:
                    raise translated(reason(error), f"{doing} at {self._servers}") from None
            time.sleep(0.05)

    def partitions(self) -> dict[str, int]:
        """Topic → number of partitions, of those that have leaders for all."""
        topics = self.ask(lambda: self._admin.list_topics(timeout=_LOOK_SECONDS), READING).topics
        return {
            name: len(topic.partitions)
            for name, topic in topics.items()
            if topic.error is None and all(each.leader >= 0 for each in topic.partitions.values())
        }

    def present(self, topics: Sequence[str]) -> list[Partition]:
        """The partitions of those topics that are there."""
        counts = self.partitions()
        return [(topic, number) for topic in topics for number in range(counts.get(topic, 0))]

    def offsets(self, partitions: Iterable[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        """The oldest offset, or that of the message to come."""
        wanted = {TopicPartition(*partition): spec for partition in partitions}

        def question() -> dict[Partition, int]:
            answers = self._admin.list_offsets(wanted, request_timeout=_ANSWER_SECONDS)
            return {(each.topic, each.partition): answer.result().offset for each, answer in answers.items()}

        return self.ask(question, READING) if wanted else {}

    def sizes(self, topics: Sequence[str]) -> Sizes:
        """How large messages may be, as far as we may know."""
        limits = {}
        for topic in topics:
            limit = self.ask(partial(self._limit, topic), READING)
            if limit < USUAL_BYTES:
                limits[topic] = limit
        return Sizes(limits)

    def _limit(self, topic: str) -> int:
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        try:
            found = self._admin.describe_configs([resource], request_timeout=_ANSWER_SECONDS)[resource].result()
        except KafkaException as error:
            if reason(error).code() in FORBIDDEN:  # not every login may look: then batches are as usual
                return USUAL_BYTES
            raise
        return int(found["max.message.bytes"].value)

    def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The group's next offsets, where it has committed any."""
        wanted = [TopicPartition(*partition) for partition in partitions]

        def question() -> dict[Partition, int]:
            request = ConsumerGroupTopicPartitions(group, wanted)
            (answer,) = self._admin.list_consumer_group_offsets([request], request_timeout=_ANSWER_SECONDS).values()
            try:
                places = answer.result().topic_partitions
            except KafkaException as error:
                if reason(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
                    return {}
                raise
            return {(place.topic, place.partition): place.offset for place in places if place.offset >= 0}

        return self.ask(question, f"asking for the offsets of {group}") if wanted else {}


class Follower:
    """Reads partitions from given offsets on."""

    def __init__(self, servers: str, options: Mapping[str, str]) -> None:
        self._trouble = Trouble(READING)
        try:
            self._consumer = Consumer(settings.reading(servers, options, self._trouble.note))
        except KafkaException as error:
            raise settings.unusable(error, options) from None
        self.ended: set[Partition] = set()
        """Partitions that were read to their end since they were added."""

    def add(self, positions: Mapping[Partition, int | None]) -> None:
        """Read these, too, from the offset on or from the oldest message, or anew if they were read already."""
        self.ended -= positions.keys()
        known = {(each.topic, each.partition) for each in self._consumer.assignment()}
        again = [TopicPartition(*partition) for partition in positions if partition in known]
        if again:
            self._consumer.incremental_unassign(again)
        starts = [
            TopicPartition(*partition, OFFSET_BEGINNING if offset is None else offset)
            for partition, offset in positions.items()
        ]
        if starts:
            self._consumer.incremental_assign(starts)

    def take(self, timeout: float) -> list[Delivered]:
        """What is there; waits so long for the first. Raises what is wrong with the brokers when they say nothing."""
        first = self._consumer.poll(timeout)
        if first is None:
            trouble = self._trouble.take()
            if trouble is not None:
                raise trouble
            return []
        found = []
        for record in [first, *self._consumer.consume(_AT_ONCE - 1, 0)]:
            error = record.error()
            if error is None:
                found.append(delivered(record))
            elif error.code() == KafkaError._PARTITION_EOF:
                self.ended.add((record.topic() or "", record.partition() or 0))
            elif error.code() not in NO_TOPIC:
                raise translated(error, READING)
        return found

    def close(self) -> None:
        """Let go."""
        self._consumer.close()


def last_messages(questions: Questions, follower: Follower, topics: Sequence[str]) -> dict[Partition, Delivered]:
    """The last message of each partition that has one.

    It does not always lie just before the end: transactions leave marks there, and compaction leaves gaps. So look
    further and further back until there is something.
    """
    partitions = questions.present(topics)
    oldest = questions.offsets(partitions, EARLIEST)
    ends = questions.offsets(partitions, LATEST)
    wanted = {partition: 1 for partition in partitions if ends[partition] > oldest[partition]}
    found: dict[Partition, Delivered] = {}
    while wanted:
        starts = {partition: max(oldest[partition], ends[partition] - back) for partition, back in wanted.items()}
        found.update(_last_from(follower, starts))
        wanted = {
            partition: back * _STEP_BACK
            for partition, back in wanted.items()
            if partition not in found and ends[partition] - back > oldest[partition]
        }
    return found


def _last_from(follower: Follower, starts: Mapping[Partition, int]) -> dict[Partition, Delivered]:
    """The last message of each partition, of those from its start on."""
    found = {}
    silent = 0
    follower.add(starts)
    while not starts.keys() <= follower.ended:
        messages = follower.take(1.0)
        silent = 0 if messages else silent + 1
        if silent > _ANSWER_SECONDS:
            raise Unavailable(f"{READING}: Kafka does not answer", hint="check that the brokers can be reached")
        found.update({(each.topic, each.partition): each for each in messages})
    return {partition: message for partition, message in found.items() if partition in starts}
