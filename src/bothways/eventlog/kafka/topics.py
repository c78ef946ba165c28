"""Making topics. Everything here blocks: it runs in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.cimpl import NewTopic

from bothways.eventlog.kafka.errors import reason
from bothways.eventlog.kafka.reading import Questions
from bothways.model.errors import Unavailable
from bothways.ports import Topic

_ANSWER_SECONDS = 15.0


def make_missing(questions: Questions, topics: Sequence[Topic]) -> dict[str, int]:
    """Make the topics that are missing and wait until they can be written to; topic → number of its partitions."""
    counts = questions.partitions()
    missing = [topic for topic in topics if topic.name not in counts]
    if missing:
        _make(questions, missing)
        counts = _wait_for(questions, {topic.name for topic in missing})
    return counts


def _make(questions: Questions, topics: Sequence[Topic]) -> None:
    asked = [_described(topic) for topic in topics]
    answers = questions.admin.create_topics(asked, request_timeout=_ANSWER_SECONDS, operation_timeout=_ANSWER_SECONDS)
    for name, answer in answers.items():
        questions.ask(partial(_made, answer), f"making the topic {name}")


def _made(answer: Future[None]) -> None:
    """Somebody else may have made it meanwhile."""
    try:
        answer.result()
    except KafkaException as error:
        if reason(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _described(topic: Topic) -> NewTopic:
    """The number of replicas is the broker's default."""
    kept_ms = None if topic.retention_seconds is None else str(max(1, round(topic.retention_seconds * 1000)))
    if topic.compacted:
        # Unless told, a broker compacts when it pays: what somebody wanted deleted could stay for years.
        config = {"cleanup.policy": "compact"} | ({"max.compaction.lag.ms": kept_ms} if kept_ms else {})
    else:
        config = {"cleanup.policy": "delete", "retention.ms": kept_ms or "-1"}
    return NewTopic(topic.name, topic.partitions, -1, config=config)


def _wait_for(questions: Questions, names: set[str]) -> dict[str, int]:
    """A new topic is not known everywhere at once."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    while True:
        counts = questions.partitions()
        if names <= counts.keys():
            return counts
        if time.monotonic() > deadline:
            missing = ", ".join(sorted(names - counts.keys()))
            raise Unavailable(f"these topics have no leader yet: {missing}", hint="see the broker's log")
        time.sleep(0.02)
