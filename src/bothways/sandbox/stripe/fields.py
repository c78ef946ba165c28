"""Kinds of parameters: what each accepts, and what a write makes of the value that is there.

Objects are tables of these (``objects.py``). Each kind has one method::

    write(raw, place) -> the new value

``raw`` is what was sent, ``place`` where and to what; a refusal is an ``ApiError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from bothways.sandbox.stripe.errors import (
    ApiError,
    empty_parameter,
    missing_parameter,
    no_such,
    too_long,
    unknown_parameters,
    wrong_type,
)
from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.words import Document, Json, Raw


@dataclass(frozen=True, slots=True)
class Context:
    """What a write may ask about the world around it."""

    settings: Settings
    find: Callable[[str, str], Document | None]
    """(object, id) → the living object."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter is written."""

    path: str
    """Its name as ``address[city]``."""
    current: Json
    """The value that is there."""
    context: Context

    def part(self, name: str | int, current: Json = None) -> Place:
        """The place of a part of it."""
        return Place(f"{self.path}[{name}]", current, self.context)


class Field(Protocol):
    """One parameter."""

    def write(self, raw: Raw, place: Place, /) -> Json: ...


class Empty(Enum):
    """What '' does."""

    NULL = "unsets"
    REFUSED = "cannot be unset"


@dataclass(frozen=True, slots=True)
class Text:
    """A string of at most ``most`` characters."""

    most: int = 5000
    empty: Empty = Empty.NULL
    check: Callable[[str, str], None] | None = None
    tidy: Callable[[str], str] | None = None
    """Done in a sandbox that normalises."""
    part: bool = False
    """A part of an address; see ``Settings.empty_parts_kept``."""

    def write(self, raw: Raw, place: Place) -> Json:
        if not isinstance(raw, str):
            raise wrong_type("string", raw, place.path)
        text = self.tidy(raw) if self.tidy and place.context.settings.normalise else raw
        if not text:
            if self.empty is Empty.REFUSED:
                raise empty_parameter(place.path)
            return "" if self.part and place.context.settings.empty_parts_kept else None
        if len(text) > self.most:
            raise too_long(text, self.most, place.path)
        if self.check:
            self.check(text, place.path)
        return text


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number."""

    least: int = -(2**53)
    most: int = 2**53

    def write(self, raw: Raw, place: Place) -> Json:
        if raw == "":
            raise empty_parameter(place.path)
        if not isinstance(raw, str) or not re.fullmatch(r"[+-]?[0-9]{1,18}", raw):
            raise wrong_type("integer", raw, place.path, "parameter_invalid_integer")
        number = int(raw)
        if number < self.least:
            raise ApiError(
                400,
                f"This value must be greater than or equal to {self.least}.",
                code="parameter_invalid_integer",
                param=place.path,
            )
        if number > self.most:
            raise ApiError(
                400,
                f"This value must be less than or equal to {self.most}.",
                code="parameter_invalid_integer",
                param=place.path,
            )
        return number


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number, not negative."""

    def write(self, raw: Raw, place: Place) -> Json:
        if raw == "":
            raise empty_parameter(place.path)
        if not isinstance(raw, str) or not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,12})?", raw):
            raise wrong_type("decimal", raw, place.path)
        number = float(raw)
        return int(number) if number.is_integer() else number


@dataclass(frozen=True, slots=True)
class Boolean:
    """``true`` or ``false``; ``if_empty`` is what '' stands for."""

    if_empty: bool | None = None

    def write(self, raw: Raw, place: Place) -> Json:
        if raw == "":
            if self.if_empty is None:
                raise empty_parameter(place.path)
            return self.if_empty
        if raw not in ("true", "false"):
            raise wrong_type("boolean", raw, place.path)
        return raw == "true"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words; ``if_empty`` is what '' stands for."""

    words: tuple[str, ...]
    if_empty: str | None | Empty = Empty.REFUSED

    def write(self, raw: Raw, place: Place) -> Json:
        if raw == "":
            if isinstance(self.if_empty, Empty):
                raise empty_parameter(place.path)
            return self.if_empty
        if raw not in self.words:
            *others, last = self.words
            words = f"{', '.join(others)}, or {last}" if others else last
            raise ApiError(400, f"Invalid {place.path}: must be one of {words}", param=place.path)
        return raw


@dataclass(frozen=True, slots=True)
class Array:
    """A list, always written as a whole. '' empties it."""

    item: Field
    most: int = 100
    empty_is_null: bool = False
    required: bool = False

    def write(self, raw: Raw, place: Place) -> Json:
        if raw == "":
            if self.required:
                raise empty_parameter(place.path)
            return None if self.empty_is_null else []
        items = _items(raw, place.path)
        if len(items) > self.most:
            raise ApiError(
                400, f"Array too long: '{place.path}' can hold at most {self.most} elements.", param=place.path
            )
        return [self.item.write(item, place.part(at)) for at, item in enumerate(items)]


def _items(raw: Raw, path: str) -> list[Raw]:
    """An array sent as ``a[]`` or as ``a[0]``, ``a[1]`` …, in the order of its numbers."""
    if isinstance(raw, dict) and all(name.isascii() and name.isdigit() for name in raw):
        return [raw[name] for name in sorted(raw, key=int)]
    if isinstance(raw, list):
        return raw
    raise ApiError(400, "Invalid array", param=path)


@dataclass(frozen=True, slots=True)
class Hash:
    """A nested object. What an update does to the parts that it does not send is ``merges``'s to say."""

    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()
    merges: bool = True
    """True: parts that are not sent stay. False: they become null (``required`` ones must be sent each time)."""
    clearable: bool = True

    def write(self, raw: Raw, place: Place) -> Json:
        if raw == "":
            if not self.clearable:
                raise empty_parameter(place.path)
            return None
        if not isinstance(raw, dict):
            raise ApiError(400, "Invalid object", param=place.path)
        unknown = [f"{place.path}[{name}]" for name in raw if name not in self.fields]
        if unknown:
            raise unknown_parameters(unknown)
        for name in self.required:
            if name not in raw:
                raise missing_parameter(f"{place.path}[{name}]")
        before = place.current if self.merges and isinstance(place.current, dict) else {}
        after: Document = {name: before.get(name) for name in self.fields}
        for name, part in raw.items():
            after[name] = self.fields[name].write(part, place.part(name, before.get(name)))
        return after


@dataclass(frozen=True, slots=True)
class Metadata:
    """Free keys and values: an update merges, '' unsets a key, '' for the whole unsets all.

    Limits: docs.stripe.com/metadata.
    """

    most_keys: int = 50
    most_key: int = 40
    most_value: int = 500

    def write(self, raw: Raw, place: Place) -> Json:
        if raw == "":
            return {}
        if not isinstance(raw, dict):
            raise ApiError(400, "Invalid object", param=place.path)
        after: Document = dict(place.current) if isinstance(place.current, dict) else {}
        for key, value in raw.items():
            self._check(key, value, place.path)
            if value == "":
                after.pop(key, None)
            else:
                assert isinstance(value, str)
                after[key] = value
        if len(after) > self.most_keys:
            raise ApiError(
                400,
                f"Metadata can have up to {self.most_keys} keys, but you've set {len(after)}. You can delete keys by "
                "setting them to an empty value.",
                param=place.path,
            )
        return after

    def _check(self, key: str, value: Raw, path: str) -> None:
        if not isinstance(value, str):
            raise wrong_type("string", value, f"{path}[{key}]")
        if not key or len(key) > self.most_key:
            raise ApiError(
                400,
                f"Metadata keys can have up to {self.most_key} characters, but you passed in a key that is {len(key)} "
                f"characters. Invalid key: {key[:100]}",
                param=path,
            )
        if len(value) > self.most_value:
            raise ApiError(
                400,
                f"Metadata values can have up to {self.most_value} characters, but you passed in a value that is "
                f"{len(value)} characters. Invalid value: {value[:100]}",
                param=f"{path}[{key}]",
            )


@dataclass(frozen=True, slots=True)
class Reference:
    """The id of another object. ``object`` is None for kinds of which the sandbox has none: every id is unknown."""

    noun: str
    object: str | None = None
    empty: Empty = Empty.NULL

    def write(self, raw: Raw, place: Place) -> Json:
        if not isinstance(raw, str):
            raise wrong_type("string", raw, place.path)
        if not raw:
            if self.empty is Empty.REFUSED:
                raise empty_parameter(place.path)
            return None
        if self.object is None or place.context.find(self.object, raw) is None:
            raise no_such(self.noun, raw, place.path)
        return raw


@dataclass(frozen=True, slots=True)
class WriteOnly:
    """Checked and taken; the object shows nothing of it."""

    inner: Field

    def write(self, raw: Raw, place: Place) -> Json:
        self.inner.write(raw, place)
        return place.current


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Stripe has this parameter, the sandbox does not: said so, so that nobody looks for a typing error."""

    def write(self, _raw: Raw, place: Place) -> Json:
        raise ApiError(
            400, f"This sandbox does not support the parameter {place.path}, which Stripe has.", param=place.path
        )
