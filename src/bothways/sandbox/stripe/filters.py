"""Kinds of list filters: what each accepts, and which objects it keeps."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol, TypeAlias

from bothways.sandbox.stripe.errors import ApiError, unknown_parameters, wrong_type
from bothways.sandbox.stripe.words import Document, Raw

Keep: TypeAlias = Callable[[Document], bool]

COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


class Filter(Protocol):
    """One filter of a list."""

    def read(self, raw: Raw, path: str) -> Keep: ...


@dataclass(frozen=True, slots=True)
class Equal:
    """The field is exactly this text."""

    field: str

    def read(self, raw: Raw, path: str) -> Keep:
        if not isinstance(raw, str):
            raise wrong_type("string", raw, path)
        return lambda document: document.get(self.field) == raw


@dataclass(frozen=True, slots=True)
class Flag:
    """The field is true, or false."""

    field: str

    def read(self, raw: Raw, path: str) -> Keep:
        if raw not in ("true", "false"):
            raise wrong_type("boolean", raw, path)
        wanted = raw == "true"
        return lambda document: bool(document.get(self.field)) is wanted


@dataclass(frozen=True, slots=True)
class Among:
    """The field is one of these."""

    field: str
    most: int = 100

    def read(self, raw: Raw, path: str) -> Keep:
        wanted = frozenset(strings(raw, path, self.most))
        return lambda document: document.get(self.field) in wanted


@dataclass(frozen=True, slots=True)
class Created:
    """``created=N`` or ``created[gt|gte|lt|lte]=N``."""

    def read(self, raw: Raw, path: str) -> Keep:
        if isinstance(raw, str):
            exact = whole(raw, path)
            return lambda document: document["created"] == exact
        if not isinstance(raw, dict):
            raise ApiError(400, "Invalid object", param=path)
        unknown = [f"{path}[{name}]" for name in raw if name not in COMPARISONS]
        if unknown:
            raise unknown_parameters(unknown)
        bounds = [(COMPARISONS[name], whole(bound, f"{path}[{name}]")) for name, bound in raw.items()]

        def keep(document: Document) -> bool:
            created = document["created"]
            assert isinstance(created, int)
            return all(compare(created, bound) for compare, bound in bounds)

        return keep


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of events; ``*`` stands for any part: ``customer.*``."""

    def read(self, raw: Raw, path: str) -> Keep:
        if not isinstance(raw, str) or not re.fullmatch(r"[a-z0-9_.*]+", raw):
            raise wrong_type("event type", raw, path)
        return lambda document: fnmatchcase(str(document["type"]), raw)


def strings(raw: Raw, path: str, most: int) -> list[str]:
    """An array of texts, sent as ``a[]`` or ``a[0]``."""
    items = list(raw.values()) if isinstance(raw, dict) else raw
    if not isinstance(items, list):
        raise ApiError(400, "Invalid array", param=path)
    if len(items) > most:
        raise ApiError(400, f"Array too long: '{path}' can hold at most {most} elements.", param=path)
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) < len(items):
        raise ApiError(400, "Invalid array", param=path)
    return texts


def whole(raw: Raw, path: str) -> int:
    """A whole number."""
    if not isinstance(raw, str) or not re.fullmatch(r"[+-]?[0-9]{1,18}", raw):
        raise wrong_type("integer", raw, path, "parameter_invalid_integer")
    return int(raw)
