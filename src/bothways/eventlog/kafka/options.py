"""librdkafka's options: ours, and what the settings add to them.

Source of names and defaults: librdkafka's CONFIGURATION.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

from confluent_kafka import KafkaError, KafkaException

from bothways.eventlog.kafka.errors import reason
from bothways.eventlog.kafka.sparing import Sparing
from bothways.model.errors import SettingsError

Options: TypeAlias = dict[str, str | int | float | bool | Callable[[KafkaError], None] | logging.Logger]

LOGGER = logging.getLogger("bothways.eventlog.kafka")
LOGGER.addFilter(Sparing())

_FIXED = {
    "bootstrap.servers": ((), "the servers stand in log.url"),
    "metadata.broker.list": ((), "the servers stand in log.url"),
    "group.id": ((), "the groups' names are bothways' own"),
    "transactional.id": ((), "bothways needs no Kafka transactions"),
    "enable.idempotence": (("true",), "without it a retry can write a message twice or out of order"),
    "acks": (("all", "-1"), "less can lose messages that the source was told are safe"),
    "request.required.acks": (("all", "-1"), "less can lose messages that the source was told are safe"),
    "partitioner": (("murmur2_random", "murmur2"), "producers in other languages could not agree on a key's partition"),
    "delivery.report.only.error": (("false",), "what was delivered must be known"),
    "enable.auto.commit": (("false",), "only what is done may be committed"),
    "auto.commit.enable": (("false",), "only what is done may be committed"),
    "enable.auto.offset.store": ((), "only what is done may be committed"),
    "auto.offset.reset": (("earliest", "smallest", "beginning"), "a new group would miss what is there already"),
    "enable.partition.eof": ((), "it is set where it is needed"),
}
"""Option → what may be written for it, and why nothing else."""

_SECRET = ("password", "secret", "oauthbearer.config", "key.pem", "jaas", "token")

_COMMON: dict[str, str | int | float | bool] = {
    "client.id": "bothways",
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1000,
    "socket.nagle.disable": True,
}

_PRODUCER: Options = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    # Without lingering a lone message leaves at once, and under load batches form while others are under way.
    "linger.ms": 0,
    "compression.type": "lz4",
    "message.max.bytes": 1_048_576,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,
    "topic.metadata.propagation.max.ms": 5_000,
}

_CONSUMER: Options = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    # Bounds the wait of a partition that was not part of the fetch that is under way.
    "fetch.wait.max.ms": 50,
    # A full queue is looked at again after the back-off: a second, unless set.
    "fetch.queue.backoff.ms": 5,
    "queued.min.messages": 5_000,
    "queued.max.messages.kbytes": 16_384,
    "topic.metadata.refresh.interval.ms": 5_000,
    "allow.auto.create.topics": False,
}

_CLASSIC: Options = {
    "partition.assignment.strategy": "cooperative-sticky",
    # The least that brokers allow unless they are told otherwise: who was killed is missed after this.
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 1_500,
}


def checked(options: Mapping[str, str]) -> dict[str, str]:
    """The settings' own options. Raises ``SettingsError`` for one that would break what bothways promises."""
    for name, value in options.items():
        allowed, why = _FIXED.get(name, ((value,), ""))
        if value.lower() not in map(str.lower, allowed):
            raise SettingsError(f"log.kafka.{name} cannot be set so: {why}", hint="leave it out")
    return dict(options)


def producing(servers: str, options: Mapping[str, str], trouble: Callable[[KafkaError], None]) -> Options:
    """For a producer."""
    own: Options = {"bootstrap.servers": servers, "error_cb": trouble, "logger": LOGGER}
    return {**_COMMON, **_PRODUCER, **options, **own}


def consuming(servers: str, options: Mapping[str, str], trouble: Callable[[KafkaError], None], group: str) -> Options:
    """For a member of a group, by the classic protocol with cooperative rebalancing, which every broker knows.

    ``group.protocol=consumer`` in the settings has the broker share out the partitions (KIP-848, Kafka 4.0 and later);
    the assignor and the session's length are the broker's then.
    """
    classic = {} if options.get("group.protocol", "classic").lower() == "consumer" else _CLASSIC
    own: Options = {"bootstrap.servers": servers, "group.id": group, "error_cb": trouble, "logger": LOGGER}
    return {**_COMMON, **_CONSUMER, **classic, **options, **own}


def reading(servers: str, options: Mapping[str, str], trouble: Callable[[KafkaError], None]) -> Options:
    """For reading without a group, to the end and further. The group's name is never told to the broker."""
    return {**consuming(servers, options, trouble, "bothways-reading"), "enable.partition.eof": True}


def largest_message(options: Mapping[str, str]) -> int:
    """How many bytes a message of ours may have."""
    return int(options.get("message.max.bytes") or str(_PRODUCER["message.max.bytes"]))


def asking(servers: str, options: Mapping[str, str]) -> dict[str, str | int | float | bool]:
    """For questions about topics and groups."""
    return {**_COMMON, **options, "bootstrap.servers": servers}


def unusable(exception: KafkaException, options: Mapping[str, str]) -> SettingsError:
    """librdkafka refuses an option: what it says, without the secrets."""
    text = reason(exception).str()
    for name, value in options.items():
        if value and any(word in name for word in _SECRET):
            text = text.replace(value, "…")
    return SettingsError(f"log.kafka: {text}", hint="librdkafka's CONFIGURATION.md has all options")
