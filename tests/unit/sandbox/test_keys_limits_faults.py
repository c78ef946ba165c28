"""Idempotency keys, rate limits and fault rules."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.faults import Fault, Faults, Rule
from bothways.sandbox.stripe.idempotency import Keys
from bothways.sandbox.stripe.ratelimit import Limits
from bothways.sandbox.stripe.words import Response
from tests.unit.sandbox.account import refused

DAY = 24 * 3600
PATH = "/v1/customers"
ANSWER = Response(200, b"{}")


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


def finish(keys: Keys, key: str, response: Response | None) -> None:
    """A first request under the key, ended so."""
    release = keys.begin(key, PATH, {"name": "a"})
    assert not isinstance(release, Response)
    release(response)


def test_the_first_answer_is_repeated_for_a_day() -> None:
    """Even a 500; afterwards the key is new."""
    clock = Clock()
    keys = Keys(DAY, clock.now)
    failure = Response(500, b"{}")
    finish(keys, "k", failure)
    clock.time = DAY - 1
    assert keys.begin("k", PATH, {"name": "a"}) is failure
    clock.time = DAY
    finish(keys, "k", ANSWER)
    assert len(keys) == 1


def test_another_request_under_the_same_key_is_refused() -> None:
    """Other parameters, another endpoint, or while the first is under way."""
    keys = Keys(DAY, Clock().now)
    release = keys.begin("k", PATH, {"name": "a"})
    assert not isinstance(release, Response)
    with refused(409, code="idempotency_key_in_use"):
        keys.begin("k", PATH, {"name": "a"})
    release(ANSWER)
    with pytest.raises(ApiError, match="same parameters") as caught:
        keys.begin("k", PATH, {"name": "b"})
    assert (caught.value.status, caught.value.type) == (400, "idempotency_error")
    with pytest.raises(ApiError, match="same endpoint"):
        keys.begin("k", PATH + "/cus_1", {"name": "a"})
    with refused(400, message="255"):
        keys.begin("k" * 256, PATH, {})


def test_a_refused_request_keeps_no_key() -> None:
    """It may be sent again, corrected, under the same key."""
    keys = Keys(DAY, Clock().now)
    finish(keys, "k", None)
    assert len(keys) == 0


def test_keys_can_be_forgotten() -> None:
    """One or all; a request under way does not bring its key back."""
    keys = Keys(DAY, Clock().now)
    for key in "abc":
        finish(keys, key, ANSWER)
    assert keys.forget("a") == 1
    assert keys.forget("a") == 0
    release = keys.begin("d", PATH, {})
    assert not isinstance(release, Response)
    assert keys.forget() == 3
    release(ANSWER)
    assert len(keys) == 0


def test_the_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    """As many at once as the rate, then one for each part of a second."""
    clock = Clock()
    limits = Limits(25, None, None, clock.now)
    for _ in range(25):
        limits.enter()
    with pytest.raises(ApiError) as caught:
        limits.enter()
    assert caught.value.status == 429
    assert caught.value.code == "rate_limit"
    assert caught.value.headers == (("Stripe-Rate-Limited-Reason", "global-rate"),)
    clock.time += 1 / 25
    limits.enter()
    with refused(429):
        limits.enter()
    clock.time += 100
    for _ in range(25):
        limits.enter()
    with refused(429):
        limits.enter()


def test_a_slow_rate_lets_one_through() -> None:
    """Less than one a second still begins with one."""
    limits = Limits(0.5, None, None, Clock().now)
    limits.enter()
    with refused(429):
        limits.enter()


def test_requests_under_way_are_limited() -> None:
    """A place is free again when somebody leaves."""
    limits = Limits(None, None, 1, Clock().now)
    limits.enter()
    with pytest.raises(ApiError) as caught:
        limits.enter()
    assert caught.value.headers == (("Stripe-Rate-Limited-Reason", "global-concurrency"),)
    limits.leave()
    limits.enter()


@pytest.mark.parametrize("wrong", [(0, None, None), (-1, None, None), (5, 0, None), (5, 5, 0)])
def test_limits_that_nothing_could_pass(wrong: tuple[float, float | None, int | None]) -> None:
    """They are refused when they are set."""
    with pytest.raises(ValueError, match="above 0"):
        Limits(*wrong, Clock().now)


def of_request(faults: Faults, path: str = PATH, content: bytes = b"") -> Fault | None:
    """What happens to this request."""
    rule = faults.of_request("POST", path, content)
    return rule.fault if rule else None


def test_a_rule_counts_what_it_lets_pass_and_what_it_hits() -> None:
    """Skips, then happens so many times, then never again."""
    faults = Faults()
    faults.add(Rule(Fault.RATE_LIMIT, skip=1, times=2))
    assert [of_request(faults) for _ in range(5)] == [None, Fault.RATE_LIMIT, Fault.RATE_LIMIT, None, None]
    assert faults.standing()[0].happened == 2


def test_a_rule_has_conditions() -> None:
    """Method, path, content; the first rule that applies counts; webhooks have rules of their own."""
    faults = Faults()
    faults.add(Rule(Fault.SLOW, method="GET"))
    faults.add(Rule(Fault.DROP_AFTER, path="/v1/customers/*"))
    faults.add(Rule(Fault.ERROR_AFTER, contains="name=Ada"))
    faults.add(Rule(Fault.DOUBLED, type="customer.*"))
    assert of_request(faults) is None
    assert of_request(faults, PATH + "/cus_1", b"name=Ada") is Fault.DROP_AFTER
    assert of_request(faults, content=b"\nname=Ada&x=1") is Fault.ERROR_AFTER
    assert faults.of_delivery("product.created", "http://x", b"{}") is None
    doubled = faults.of_delivery("customer.created", "http://x", b"{}")
    assert doubled
    assert doubled.fault is Fault.DOUBLED
    faults.remove(3)
    assert of_request(faults, content=b"name=Ada") is None
    faults.remove()
    assert faults.standing() == []


def test_chances_follow_the_seed() -> None:
    """The same seed, the same faults; about as many as the probability says."""

    def run(seed: int) -> list[Fault | None]:
        faults = Faults(random.Random(seed))
        faults.add(Rule(Fault.RATE_LIMIT, probability=0.3))
        return [of_request(faults) for _ in range(500)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 100 < Counter(run(1))[Fault.RATE_LIMIT] < 200


@pytest.mark.parametrize(
    "rule",
    [
        Rule(Fault.SLOW, probability=2),
        Rule(Fault.SLOW, seconds=-1),
        Rule(Fault.SLOW, times=0),
        Rule(Fault.SLOW, skip=-1),
        Rule(Fault.ERROR_AFTER, status=200),
    ],
)
def test_rules_that_make_no_sense(rule: Rule) -> None:
    """They are refused when they are given."""
    with pytest.raises(ValueError, match=r"lies? between"):
        Faults().add(rule)
