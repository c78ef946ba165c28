"""The words that the sandbox's parts share: JSON values, requests, answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
Document: TypeAlias = dict[str, Json]
"""An object as the API shows it. Never changed in place: events, answers and stores share it."""

Raw: TypeAlias = "str | list[Raw] | dict[str, Raw]"
"""A parameter as it came: form encoding knows text, arrays and hashes only."""
RawParams: TypeAlias = dict[str, Raw]


@dataclass(frozen=True, slots=True)
class Cause:
    """The request that an effect comes from; both None for an edit by hand."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, its body read."""

    method: str
    path: str
    query: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer. ``dropped`` means that the connection breaks instead."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    dropped: bool = False
