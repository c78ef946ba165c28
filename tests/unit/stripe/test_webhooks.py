"""Webhooks: the signature, then the event."""

from __future__ import annotations

import contextlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import WebhookSignature

from bothways.connectors.stripe.webhooks import receive
from bothways.model.errors import WebhookRefused
from bothways.model.values import Value
from bothways.ports import RawEvent

NOW = 1_790_000_000
SECRET = "whsec_one"
OTHER = "whsec_two"


def event(**changes: Value) -> bytes:
    """A customer.updated event's body."""
    document = {
        "id": "evt_1",
        "object": "event",
        "type": "customer.updated",
        "created": NOW - 1,
        "livemode": False,
        "data": {"object": {"id": "cus_1", "object": "customer", "name": "Ada"}, "previous_attributes": {"name": "A"}},
        "request": {"id": "req_1", "idempotency_key": None},
    }
    return json.dumps(document | changes).encode()


def signature(body: bytes, secret: str = SECRET, at: int = NOW) -> str:
    """As the SDK makes it."""
    return str(WebhookSignature.generate_signature_header(body.decode(), secret, at))


def taken(
    body: bytes, header: str | None, *, secrets: tuple[str, ...] = (SECRET,), now: float = NOW
) -> RawEvent | None:
    """Receive as a test-mode system with customers."""
    return receive(body, header, secrets, now=now, livemode=False, objects=["customer"])


def test_a_signed_event_is_taken_as_it_came() -> None:
    """Every byte goes on the log."""
    body = event()
    raw = taken(body, signature(body))
    assert raw == RawEvent("evt_1", "customer", "cus_1", NOW - 1, body)


def test_any_secret_and_any_signature_may_match() -> None:
    """While a secret is rolled Stripe signs with both, and we may know either."""
    body = event()
    mine, other = signature(body), signature(body, OTHER)
    both = f"{mine},{other.split(',')[1]}"
    assert taken(body, both, secrets=(OTHER,)) is not None
    assert taken(body, mine, secrets=(OTHER, SECRET)) is not None
    assert taken(body, f"{mine},v0=deadbeef") is not None


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1",
        "v1=abc",
        "t=x,v1=abc",
        "t=1,v0=abc",
        "t=,v1=",
        "=",
        ",,,",
        "t=\u0661,v1=a",
        f"t={'9' * 5000},v1=a",
        "t=1,v1=\ud800é",
    ],
)
def test_a_header_that_is_none_is_refused(header: str | None) -> None:
    """With a 4xx, whatever it is."""
    with pytest.raises(WebhookRefused) as refused:
        taken(event(), header)
    assert 400 <= refused.value.status < 500


def test_a_wrong_signature_is_refused() -> None:
    """Another secret, another body, another time, no secret at all."""
    body = event()
    header = signature(body)
    for sent, given_header, secrets in [
        (body, signature(body, OTHER), (SECRET,)),
        (body + b" ", header, (SECRET,)),
        (body, header.replace(f"t={NOW}", f"t={NOW + 1}"), (SECRET,)),
        (body, header.replace("v1=", "v0="), (SECRET,)),
        (body, header, ()),
    ]:
        with pytest.raises(WebhookRefused):
            taken(sent, given_header, secrets=secrets)


@pytest.mark.parametrize(("shift", "ok"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_signature_has_its_time(shift: int, ok: bool) -> None:
    """Too old is a replay; from the future is a wrong clock or a replay prepared."""
    body = event()
    header = signature(body)
    if ok:
        assert taken(body, header, now=NOW + shift) is not None
    else:
        with pytest.raises(WebhookRefused, match="301 seconds"):
            taken(body, header, now=NOW + shift)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "event"),
        (b"no json", "event"),
        (b"[1]", "JSON object"),
        (b"{}", "not an event"),
        (b"[" * 100_000, "event"),
        (event(object="customer"), "not an event"),
        (event(object="v2.core.event"), "snapshot"),
        (event(livemode=True), "mode"),
        (event(livemode=None), "mode"),
        (event(account="acct_1"), "connected account"),
        (event(id=""), "without id"),
        (event(type=7), "type"),
        (event(created="now"), "time"),
        (event(created=True), "time"),
        (event(data=None), "without data"),
        (event(data={"object": []}), "without object"),
        (event(data={"object": {}}), "without an id"),
        (event(data={"object": {"id": "cus_1"}, "previous_attributes": 1}), "previous_attributes"),
    ],
)
def test_what_is_not_such_an_event_is_refused_with_its_reason(body: bytes, word: str) -> None:
    """Signed or not, a 400 that says why."""
    with pytest.raises(WebhookRefused) as refused:
        taken(body, signature(body))
    assert refused.value.status == 400
    assert word in refused.value.message


@pytest.mark.parametrize("kind", ["product.updated", "customer.subscription.created", "v1.something.new"])
def test_events_of_nothing_that_is_mapped_are_let_go(kind: str) -> None:
    """They are genuine, and answered with 200."""
    body = event(type=kind)
    assert taken(body, signature(body)) is None


@given(st.binary(max_size=200), st.text(max_size=100) | st.none())
def test_any_bytes_give_a_result_or_a_refusal(body: bytes, header: str | None) -> None:
    """Whatever is posted, nothing else comes out."""
    with pytest.raises(WebhookRefused):
        taken(body, header)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["id", "object", "type", "created", "livemode", "data", "request", "account"])


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_any_signed_json_gives_a_result_or_a_refusal(changes: dict[str, Value]) -> None:
    """Who knows the secret can send nonsense too."""
    body = event(**changes)
    with contextlib.suppress(WebhookRefused):
        raw = taken(body, signature(body))
        assert raw is None or raw.payload == body


def test_many_signatures_cost_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One digest of the body for each secret, whatever the header holds; each is compared with each signature."""
    body, made, compared = event(), [], []
    right = signature(body)
    new, compare = hmac.new, hmac.compare_digest

    def making(key: bytes, message: bytes, digest: Any) -> hmac.HMAC:
        made.append(key)
        return new(key, message, digest)

    def comparing(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare(one, other)

    monkeypatch.setattr(hmac, "new", making)
    monkeypatch.setattr(hmac, "compare_digest", comparing)
    header = right + ",v1=" + ",v1=".join("0" * 64 for _ in range(31))
    found = receive(body, header, (SECRET, OTHER), now=NOW, livemode=False, objects=["customer"])
    assert found is not None
    assert (len(made), len(compared)) == (2, 64)
    with pytest.raises(WebhookRefused, match="more than 32"):
        receive(body, header + ",v1=", (SECRET, OTHER), now=NOW, livemode=False, objects=["customer"])
    assert len(made) == 2
