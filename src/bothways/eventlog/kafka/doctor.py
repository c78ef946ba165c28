"""How a Kafka cluster and our topics on it stand. Everything here blocks: it runs in a thread of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # both are exported, and not declared so
    ConfigResource,
    ResourceType,
)

from bothways.eventlog.kafka.reading import Questions
from bothways.model.errors import BothwaysError
from bothways.model.finding import Finding, Grade, fault, ok, warning
from bothways.ports import Topic

_ANSWER_SECONDS = 10.0
SETUP = "bothways setup"


def examine(questions: Questions, servers: str, message_bytes: int, topics: Sequence[Topic]) -> list[Finding]:
    """What was found. ``message_bytes``: how large a message of ours may be."""
    try:
        counts = questions.partitions()
        brokers = len(questions.ask(lambda: questions.admin.list_topics(timeout=_ANSWER_SECONDS), "asking").brokers)
        findings = [ok("log", f"Kafka at {servers} answers, {brokers} brokers, {len(counts)} topics")]
        there = [topic for topic in topics if topic.name in counts]
        settings = _settings(questions, [topic.name for topic in there])
    except BothwaysError as error:
        return [fault("log", error)]
    lacking = [topic.name for topic in topics if topic.name not in counts]
    if lacking:
        findings.append(warning("log: topics", f"not made yet: {', '.join(lacking)}", SETUP))
    looked_at = [_topic(each, counts[each.name], settings[each.name], servers, message_bytes) for each in there]
    return [*findings, *looked_at]


def _settings(questions: Questions, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Topic → its settings."""
    if not names:
        return {}
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = questions.admin.describe_configs(asked, request_timeout=_ANSWER_SECONDS)

    def read() -> dict[str, dict[str, str]]:
        return {
            resource.name: {name: str(entry.value) for name, entry in answer.result().items()}
            for resource, answer in answers.items()
        }

    return questions.ask(read, "asking for the settings of topics")


def _topic(topic: Topic, partitions: int, found: Mapping[str, str], servers: str, message_bytes: int) -> Finding:
    what = f"log: topic {topic.name}"
    policy, retention = found.get("cleanup.policy", ""), found.get("retention.ms", "")
    alter = f"kafka-configs.sh --bootstrap-server {servers} --alter --topic {topic.name} --add-config"
    if topic.compacted is not ("compact" in policy):
        wanted = "compact" if topic.compacted else "delete"
        why = "only then it holds every record's last state" if topic.compacted else "several kinds of key share it"
        text = f"cleanup.policy is {policy}, and should be {wanted}: {why}"
        return warning(what, text, f"{alter} cleanup.policy={wanted}")
    largest = found.get("max.message.bytes", "")
    if largest.isdigit() and int(largest) < message_bytes:
        text = f"max.message.bytes is {largest}: a larger change, up to {message_bytes}, would stop capture"
        return Finding(what, Grade.FAULT, text, f"{alter} max.message.bytes={message_bytes}")
    wanted_ms = None if topic.retention_seconds is None else round(topic.retention_seconds * 1000)
    if not topic.compacted and wanted_ms is not None and retention.isdigit() and int(retention) < wanted_ms:
        text = f"keeps messages for {int(retention) // 1000} s, the settings say {wanted_ms // 1000} s"
        return warning(what, text, f"{alter} retention.ms={wanted_ms}")
    if partitions != topic.partitions:
        text = f"has {partitions} partitions, the settings say {topic.partitions}; it is used as it is"
        return warning(what, text, f"[log] partitions = {partitions}")
    return ok(what, f"{partitions} partitions, {policy}")
