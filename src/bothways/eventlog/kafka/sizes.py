"""How large messages and batches may be: topics may take less than the broker, and less than librdkafka would send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bothways.model.errors import Refused
from bothways.ports import Message

USUAL_BYTES = 1_048_588
"""Kafka's default of ``max.message.bytes``."""

_BATCH_BYTES = 100
"""What a batch has around its messages, and more: 61 bytes, and up to 21 for each message's lengths."""
_BESIDE_BYTES = 2_000
"""Room for a message's key and headers, where a topic takes little."""
_LARGE_BYTES = 900_000
"""Room for them where it takes as much as is usual."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Topic → ``max.message.bytes``, of those that take less than is usual."""

    limits: Mapping[str, int] = field(default_factory=dict)

    @property
    def large_bytes(self) -> int:
        """As in ``ports.Appender``."""
        if not self.limits:
            return _LARGE_BYTES
        smallest = min(self.limits.values())
        return min(_LARGE_BYTES, max(smallest - _BESIDE_BYTES, smallest // 2))

    def fitted(self, options: Mapping[str, str]) -> dict[str, str]:
        """librdkafka's options, with batches that every topic takes: it does not ask, and does not cut them anew."""
        if not self.limits:
            return dict(options)
        most = min(self.limits.values()) - _BATCH_BYTES
        asked = int(options.get("batch.size", most))
        return {**options, "batch.size": str(max(1, min(asked, most)))}

    def check(self, message: Message) -> None:
        """Raises ``Refused`` for a message that its topic would not take."""
        limit = self.limits.get(message.topic)
        if limit is None:
            return
        size = len(message.key or b"") + len(message.value or b"") + _BATCH_BYTES
        size += sum(len(name) + len(value) for name, value in message.headers)
        if size > limit:
            raise Refused(
                f"the topic {message.topic} takes messages of {limit} bytes, and a message has {size}",
                hint=f"kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics"
                f" --entity-name {message.topic} --add-config max.message.bytes={max(USUAL_BYTES, size)}",
            )
