"""How changes look on their topics: the form of values, and whether a schema goes with each message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Encoding(StrEnum):
    """The form of the values."""

    READABLE = "readable"
    """Texts and numbers that say what they mean without a schema (``model/values.py``)."""
    DEBEZIUM = "debezium"
    """What Debezium writes unless it is told otherwise: decimals as bytes, times as numbers."""


@dataclass(frozen=True, slots=True)
class Form:
    """``[log] encoding`` and ``schemas``."""

    encoding: Encoding = Encoding.READABLE
    schemas: bool = False
    """Keys and values are ``{"schema": …, "payload": …}``, as Kafka Connect's JsonConverter writes and reads them."""
