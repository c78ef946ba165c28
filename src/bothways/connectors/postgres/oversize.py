"""Rows that are larger than a message may be.

One such row must not stop all that come after it. It goes on the log with its largest values left out, shown as
Debezium shows what it cannot know; whoever needs them reads the row, as delivery does anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from bothways.connectors.postgres.envelope import Appendable
from bothways.eventlog.codec import has_schema
from bothways.eventlog.schemas import UNAVAILABLE, unavailable
from bothways.model.errors import Refused
from bothways.model.values import Value


def append_large(append: Callable[[Appendable], int], message: Appendable, large_bytes: int) -> tuple[int, list[str]]:
    """Append as it is, where the log takes it, else without its largest values; its number, and their columns.

    ``large_bytes``: what the log takes for sure.

    Raises ``Refused`` where that does not help.
    """
    try:
        return append(message), []
    except Refused:
        topic, key, value, headers = message
        smaller, left_out = without_largest(value or b"null", large_bytes)
        if not left_out:
            raise
    return append((topic, key, smaller, headers)), left_out


def without_largest(value: bytes, most_bytes: int) -> tuple[bytes, list[str]]:
    """The change event in at most so many bytes, if leaving out values can do that; and the columns left out."""
    document = orjson.loads(value)
    with_schema = has_schema(value, document)
    envelope = document["payload"] if with_schema else document
    replacements = _replacements(document["schema"]) if with_schema else {}
    images: list[dict[str, Any]] = [envelope[name] for name in ("before", "after") if envelope.get(name)]
    sizes = [(len(orjson.dumps(each)), column, image) for image in images for column, each in image.items()]
    left_out: list[str] = []
    for size, column, image in sorted(sizes, key=lambda found: found[0], reverse=True):
        if len(value) <= most_bytes or size <= len(UNAVAILABLE) * 2:
            break
        image[column] = replacements.get(column, UNAVAILABLE)
        left_out.append(column)
        value = orjson.dumps(document)
    return value, sorted(set(left_out))


def _replacements(schema: Mapping[str, Any]) -> Mapping[str, Value]:
    """Column → what its type allows to stand there."""
    after = next(field for field in schema["fields"] if field["field"] == "after")
    return {field["field"]: unavailable(field) for field in after["fields"]}
