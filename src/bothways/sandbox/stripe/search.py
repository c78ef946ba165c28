"""The search endpoint's query language, and its delay.

``field:'value'`` (exact, case does not count), ``field~'part'`` (three characters or more), ``field>1`` and the like
for numbers, ``metadata['key']:'value'``, ``field:null``, ``-`` in front negates; AND or OR between, not both
(docs.stripe.com/search).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.filters import COMPARISONS, Keep
from bothways.sandbox.stripe.shelf import Shelf
from bothways.sandbox.stripe.words import Document, Json

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_CLAUSE = re.compile(
    rf"""\s*(?P<not>-)?(?P<field>[a-z_]+)(?:\[(?P<key>{_QUOTED})\])?\s*(?P<op>:|~|>=|<=|>|<)\s*"""
    rf"""(?P<value>{_QUOTED}|-?[0-9]+|null|true|false)""",
    re.VERBOSE,
)
_JOINT = re.compile(r"\s*(?:(?P<word>AND|OR|and|or)(?=\s)|(?=\s))")
_OPERATORS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def parse(query: str, searchable: frozenset[str]) -> Keep:
    """A query as a test of documents. Raises ``ApiError`` 400 for what cannot be read."""
    clauses: list[Keep] = []
    joints: set[str] = set()
    at = 0
    while True:
        clause = _CLAUSE.match(query, at)
        if not clause:
            raise _unreadable(query)
        clauses.append(_test(clause, searchable))
        at = clause.end()
        if not query[at:].strip():
            break
        joint = _JOINT.match(query, at)
        if not joint:
            raise _unreadable(query)
        joints.add((joint["word"] or "and").lower())
        at = joint.end()
    if len(joints) > 1:
        raise ApiError(400, "You can't combine AND and OR in the same query.", param="query")
    together: Callable[[list[bool]], bool] = any if joints == {"or"} else all
    return lambda document: together([keep(document) for keep in clauses])


def _test(clause: re.Match[str], searchable: frozenset[str]) -> Keep:
    name = clause["field"]
    if name not in searchable or (name == "metadata") != bool(clause["key"]):
        raise ApiError(400, f"Field `{name}` is an unsupported search field.", param="query")
    key = _unquote(clause["key"]) if clause["key"] else None
    matches = _comparison(clause["op"], clause["value"])
    negated = bool(clause["not"])

    def keep(document: Document) -> bool:
        value = document.get(name)
        if key is not None:
            value = value.get(key) if isinstance(value, dict) else None
        return matches(value) is not negated

    return keep


def _comparison(operator: str, literal: str) -> Callable[[Json], bool]:
    if operator in _OPERATORS:
        if not re.fullmatch(r"-?[0-9]+", literal):
            raise ApiError(400, "Only numbers can be compared with < and >.", param="query")
        compare, bound = COMPARISONS[_OPERATORS[operator]], int(literal)
        return lambda value: isinstance(value, int) and compare(value, bound)
    if literal == "null":
        return lambda value: value is None
    wanted = _unquote(literal).casefold()
    if operator == "~":
        if len(wanted) < 3:
            raise ApiError(400, "A substring to search for must have at least 3 characters.", param="query")
        return lambda value: isinstance(value, str) and wanted in value.casefold()
    return lambda value: value is not None and _text(value).casefold() == wanted


def _text(value: Json) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _unquote(literal: str) -> str:
    return re.sub(r"\\(.)", r"\1", literal[1:-1]) if literal[0] in "'\"" else literal


def _unreadable(query: str) -> ApiError:
    return ApiError(400, f"We were unable to parse your search query: {query[:200]}", param="query")


@dataclass(frozen=True, slots=True)
class _Write:
    visible_at: float
    id: str
    document: Document | None


class SearchIndex:
    """What search sees: every write, but later."""

    def __init__(self, delay: float, now: Callable[[], float]) -> None:
        self._delay = delay
        self._now = now
        self._waiting: deque[_Write] = deque()
        self._shelf = Shelf()

    def write(self, id: str, document: Document | None) -> None:
        """A new state, None for a deletion."""
        self._waiting.append(_Write(self._now() + self._delay, id, document))
        self._catch_up()

    def shelf(self) -> Shelf:
        """What can be found now."""
        self._catch_up()
        return self._shelf

    def _catch_up(self) -> None:
        now = self._now()
        while self._waiting and self._waiting[0].visible_at <= now:
            write = self._waiting.popleft()
            if write.document is not None:
                self._shelf.put(write.id, write.document)
            elif self._shelf.get(write.id) is not None:
                self._shelf.remove(write.id)
