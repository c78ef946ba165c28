"""What librdkafka hands out, as ours."""

from __future__ import annotations

from confluent_kafka import Message as Record

from bothways.ports import Delivered


def delivered(record: Record) -> Delivered:
    """One message, not an error."""
    headers = record.headers()
    return Delivered(
        record.topic() or "",
        record.partition() or 0,
        record.offset() or 0,
        record.key(),
        record.value(),
        tuple((name, _bytes(value)) for name, value in headers) if isinstance(headers, list) else (),
        record.timestamp()[1],
    )


def _bytes(value: str | bytes | None) -> bytes:
    """Headers of others may be null, which ours never are."""
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else value
