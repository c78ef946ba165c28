"""Faults on demand: rules that say which requests and webhooks go wrong, and how.

Requests (the first rule that applies counts):

============== =====================================================================================================
slow           wait ``seconds`` before the effect; a key is held meanwhile
slow_answer    wait ``seconds`` after the effect: events and webhooks come before the answer
rate_limit     429 with the header ``Stripe-Rate-Limited-Reason``; no effect, not stored
lock_timeout   429 with the code ``lock_timeout``; no effect, not stored
unavailable    ``status`` (503); no effect, not stored
error_before   ``status`` (500) instead of the effect; stored under the key and repeated
error_after    the effect, then ``status`` (500); stored under the key and repeated
drop_before    the connection breaks; no effect, not stored
drop_after     the effect, and the right answer stored, then the connection breaks: the answer is lost
============== =====================================================================================================

Webhooks:

============== =====================================================================================================
late           delivered ``seconds`` later
doubled        delivered twice
reordered      held back until the endpoint's next delivery has been made, or ``seconds`` (1) have passed
dropped        never delivered
============== =====================================================================================================
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase


class Fault(StrEnum):
    """What goes wrong."""

    SLOW = "slow"
    SLOW_ANSWER = "slow_answer"
    RATE_LIMIT = "rate_limit"
    LOCK_TIMEOUT = "lock_timeout"
    UNAVAILABLE = "unavailable"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    LATE = "late"
    DOUBLED = "doubled"
    REORDERED = "reordered"
    DROPPED = "dropped"

    @property
    def of_webhooks(self) -> bool:
        """Happens to deliveries, not to requests."""
        return self in (Fault.LATE, Fault.DOUBLED, Fault.REORDERED, Fault.DROPPED)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. All conditions must hold; ``*`` in a pattern stands for anything."""

    fault: Fault
    method: str = "*"
    path: str = "*"
    """Requests: the path. Webhooks: the endpoint's URL."""
    type: str = "*"
    """Webhooks: the event's type."""
    contains: str = ""
    """Requests: text that the query or the encoded body holds. Webhooks: text that the event's JSON holds."""
    probability: float = 1.0
    skip: int = 0
    """Lets so many pass first."""
    times: int | None = None
    """Ends after so many; None: stays."""
    seconds: float = 1.0
    status: int = 0
    """0: what is usual for the fault."""


@dataclass(slots=True)
class _Active:
    rule: Rule
    passed: int = 0
    happened: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A rule and how often it was applied."""

    id: int
    rule: Rule
    happened: int


@dataclass(slots=True)
class Faults:
    """The rules in force, in the order in which they were given."""

    chances: random.Random = field(default_factory=random.Random)
    _active: dict[int, _Active] = field(default_factory=dict)
    _last: int = 0

    def add(self, rule: Rule) -> int:
        """A further rule; returns its number. Raises ``ValueError`` for one that makes no sense."""
        if not 0 <= rule.probability <= 1:
            raise ValueError("a probability lies between 0 and 1")
        if not 0 <= rule.seconds <= 3600 or rule.skip < 0 or (rule.times is not None and rule.times < 1):
            raise ValueError("seconds lie between 0 and 3600, skip is not negative, times is at least 1")
        if rule.status and not 400 <= rule.status <= 599:
            raise ValueError("a status lies between 400 and 599")
        self._last += 1
        self._active[self._last] = _Active(rule)
        return self._last

    def remove(self, id: int | None = None) -> None:
        """End one rule, or all."""
        if id is None:
            self._active.clear()
        else:
            self._active.pop(id, None)

    def standing(self) -> list[Standing]:
        """The rules and how often each was applied; one that has ended stays in the list."""
        return [Standing(number, each.rule, each.happened) for number, each in self._active.items()]

    def of_request(self, method: str, path: str, content: bytes) -> Rule | None:
        """What happens to this request; ``content`` is its query and its body, encoded."""
        if not self._active:
            return None
        for each in self._active.values():
            rule = each.rule
            if (
                not rule.fault.of_webhooks
                and fnmatchcase(method, rule.method)
                and fnmatchcase(path, rule.path)
                and rule.contains.encode() in content
                and self._applies(each)
            ):
                return rule
        return None

    def of_delivery(self, type: str, url: str, payload: bytes) -> Rule | None:
        """What happens to this delivery."""
        if not self._active:
            return None
        for each in self._active.values():
            rule = each.rule
            if (
                rule.fault.of_webhooks
                and fnmatchcase(type, rule.type)
                and fnmatchcase(url, rule.path)
                and rule.contains.encode() in payload
                and self._applies(each)
            ):
                return rule
        return None

    def _applies(self, each: _Active) -> bool:
        rule = each.rule
        if rule.times is not None and each.happened >= rule.times:
            return False
        if each.passed < rule.skip:
            each.passed += 1
            return False
        if rule.probability < 1 and self.chances.random() >= rule.probability:
            return False
        each.happened += 1
        return True
