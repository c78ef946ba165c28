"""Where our messages differ from Debezium's: one rule each, and the words that docs/debezium.md has for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]
"""``key``, ``value`` and ``headers`` of a message, parsed, without schemas; ``after`` the schema of a row's columns."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A difference that is meant."""

    documented: str
    """How docs/debezium.md begins the row that tells of it."""
    path: str
    """A regular expression for the paths that differ: ``value.source.version``."""


ALWAYS = (
    Rule("`source.version`", r"value\.source\.version"),
    Rule("`transaction.id`", r"value\.transaction\.id"),
    Rule("times of reading", r"value\.(ts_ms|ts_us|ts_ns)"),
    Rule("headers", r"headers\.(__debezium\.context|bothways).*"),
    Rule("`before` of a deletion", r"value\.before\.(s|required)"),
    Rule("`name`", r"value\.after\.nm"),
    Rule("types that Debezium leaves out", r"(value\.)?(before|after)\.lsn.*"),
    Rule("arrays of several dimensions", r"value\.after\.a"),
    Rule("what an array's type allows", r"value\.after\.(da|ua)"),
    Rule("which columns may be null", r"after\.\w+\.(optional|default|items\.optional)"),
)

READABLE = (
    Rule("dates and times without a zone", r"value\.after\.(d|t|t0|dt|dt3|da|tsa)"),
    Rule("`timetz`", r"value\.after\.tz|after\.tz\.\w+"),
    Rule("`timestamptz`", r"value\.after\.(ts|ts3|tstza)"),
    Rule("`interval`", r"value\.after\.iv"),
    Rule("`bit`, `varbit`", r"value\.after\.(bit1|bits|vb)"),
    Rule("`money`", r"value\.after\.m"),
    Rule("`point`", r"value\.after\.p"),
    Rule("NaN and infinity in a `numeric`", r"value\.after\.(n|nn)"),
    Rule("a large value that was not sent", r"value\.after\.(by|big|a|texts|ja|ba|na|moods|ua|fa|boola|sm)"),
    Rule("`source` and times in the readable", r"value\.(source\.(sequence|ts_ns|origin|origin_lsn)|ts_us|ts_ns)"),
    Rule("schemas in the readable", r"after\.\w+\.(type|name|version|parameters|items|fields).*"),
)


def differences(theirs: Message, ours: Message) -> dict[str, tuple[Any, Any]]:
    """Path → both values, where they differ; ``...`` for what is missing."""
    left, right = dict(_leaves(theirs, "")), dict(_leaves(ours, ""))
    paths = dict.fromkeys([*left, *right])
    return {
        path: (left.get(path, ...), right.get(path, ...))
        for path in paths
        if left.get(path, ...) != right.get(path, ...)
    }


def unnamed(found: Sequence[Mapping[str, tuple[Any, Any]]], rules: Sequence[Rule]) -> list[tuple[str, Any, Any]]:
    """The differences that no rule names."""
    patterns = [re.compile(rule.path) for rule in rules]
    return [
        (path, *values)
        for each in found
        for path, values in each.items()
        if not any(pattern.fullmatch(path) for pattern in patterns)
    ]


def unseen(found: Sequence[Mapping[str, tuple[Any, Any]]], rules: Sequence[Rule]) -> list[str]:
    """The rules that name nothing: what they say is not so."""
    paths = {path for each in found for path in each}
    return [rule.documented for rule in rules if not any(re.fullmatch(rule.path, path) for path in paths)]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    # A row's values are compared as wholes, whatever they are made of.
    if isinstance(value, Mapping) and not re.fullmatch(r"value\.(before|after)\.\w+", path):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value
