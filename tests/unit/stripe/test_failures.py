"""What Stripe's errors mean for us."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import stripe

from bothways.connectors.stripe.client import is_live, object_path
from bothways.connectors.stripe.failures import Failure, clean, read_failure, translate, transport_error
from bothways.connectors.stripe.hints import blame, dotted
from bothways.connectors.stripe.objects import object_type
from bothways.model.errors import (
    BothwaysError,
    CallRefused,
    FateUnknown,
    Forbidden,
    RateLimited,
    SettingsError,
    Unavailable,
)
from bothways.model.values import Values

CUSTOMER = object_type("customer")
REPLAYED = {"idempotent-replayed": "true"}


def failure(status: int, code: str = "", type: str = "", headers: Mapping[str, str] | None = None) -> Failure:
    """An error answer."""
    return Failure(status, type or "invalid_request_error", code, "No.", "", headers or {})


@pytest.mark.parametrize(
    ("answer", "keyed", "expected"),
    [
        (failure(500), True, Unavailable),
        (failure(503), False, Unavailable),
        (failure(500, headers=REPLAYED), True, FateUnknown),
        (failure(500, headers={"stripe-should-retry": "false"}), True, FateUnknown),
        (failure(500, headers={"stripe-should-retry": "false"}), False, Unavailable),
        (failure(500, headers={"stripe-should-retry": "true"}), True, Unavailable),
        (failure(409, "idempotency_key_in_use", "idempotency_error"), True, Unavailable),
        (failure(409), True, Unavailable),
        (failure(400, type="idempotency_error"), True, FateUnknown),
        (failure(429, "rate_limit"), True, RateLimited),
        (failure(400, "rate_limit"), True, RateLimited),
        (failure(429, "lock_timeout"), True, Unavailable),
        (failure(429, "lock_timeout", headers={"stripe-rate-limited-reason": "global-rate"}), True, RateLimited),
        (failure(401), True, Forbidden),
        (failure(403), False, Forbidden),
        (failure(400), True, CallRefused),
        (failure(400, headers=REPLAYED), True, CallRefused),
        (failure(400, headers={"stripe-should-retry": "true"}), True, Unavailable),
        (failure(402, "card_declined", "card_error"), True, CallRefused),
        (failure(404, "resource_missing"), True, CallRefused),
    ],
)
def test_each_answer_has_its_meaning(answer: Failure, keyed: bool, expected: type[BothwaysError]) -> None:
    """Try again, try again slower, find out, leave the record, pause the system: as the port says."""
    assert type(translate(answer, keyed=keyed)) is expected


def test_retry_after_is_passed_on_where_there_is_one() -> None:
    """Seconds as sent; without the header, or with nonsense in it, nothing."""
    limited = translate(failure(429, headers={"retry-after": "2"}), keyed=True)
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == 2.0
    assert failure(429, headers={"retry-after": "soon"}).retry_after is None


def test_an_object_of_the_other_mode_is_no_missing_object() -> None:
    """A key of the wrong mode must pause the system: what it does not see is not deleted."""
    answer = Failure(
        404,
        "invalid_request_error",
        "resource_missing",
        "No such customer: 'cus_1'; a similar object exists in live mode, but a test mode key was used.",
        "id",
        {},
    )
    assert answer.is_missing("customer")
    assert answer.of_other_mode
    assert isinstance(translate(answer, keyed=True, described=CUSTOMER), Forbidden)


def test_only_the_object_of_the_path_can_be_missing() -> None:
    """What a parameter names and is not there refuses the call."""
    own = Failure(404, "", "resource_missing", "No such customer", "customer", {})
    named = Failure(
        404, "", "resource_missing", "No such PaymentMethod", "invoice_settings[default_payment_method]", {}
    )
    assert own.is_missing("customer")
    assert not named.is_missing("customer")
    assert isinstance(translate(named, keyed=True, described=CUSTOMER), CallRefused)


@pytest.mark.parametrize("text", ["sk_test_abc123", "rk_live_abc***9", "whsec_abc", "pk_test_x"])
def test_keys_are_never_told(text: str) -> None:
    """Stripe's messages repeat parts of the key; ours do not."""
    assert text not in clean(f"Invalid API Key provided: {text}")
    answer = read_failure(
        stripe.AuthenticationError("x", "{}", 401, {"error": {"message": f"Invalid API Key provided: {text}"}}, {})
    )
    assert answer is not None
    assert text not in str(translate(answer, keyed=True))


@pytest.mark.parametrize(
    "error",
    [
        stripe.StripeError("ConnectTimeout"),
        stripe.APIError("Invalid response body", "<html>", 403, {"server": "proxy"}),
        stripe.APIError("Invalid response object", "{}", 404, {}),
    ],
)
def test_what_is_none_of_stripes_answers_says_nothing_about_the_record(error: stripe.StripeError) -> None:
    """A proxy's 403 or 404 neither pauses the system nor deletes a record."""
    assert read_failure(error) is None
    told = transport_error(error, "https://api.stripe.com")
    assert isinstance(told, Unavailable)
    assert "https://api.stripe.com" in str(told)


@pytest.mark.parametrize(
    ("param", "path"),
    [
        ("name", "name"),
        ("address[city]", "address.city"),
        ("metadata[tier]", "metadata.tier"),
        ("preferred_locales[0]", "preferred_locales"),
        ("invoice_settings[custom_fields][0][name]", "invoice_settings.custom_fields"),
        ("", ""),
    ],
)
def test_parameters_are_named_as_paths(param: str, path: str) -> None:
    """The names that settings use."""
    assert dotted(param) == path


@pytest.mark.parametrize(
    ("param", "patch", "path"),
    [
        ("email", {"email": "x", "name": "y"}, "email"),
        ("metadata", {"metadata.tier": "x" * 501, "metadata.note": "y"}, "metadata.tier"),
        ("", {"metadata.tier": "x" * 501, "name": "y"}, "metadata.tier"),
        ("metadata", {"metadata.tier": "x", "name": "y"}, "metadata.tier"),
        ("shipping[address][line1]", {"shipping.address": {"city": "x"}, "name": "y"}, "shipping.address"),
        ("metadata", {"metadata.a": "x", "metadata.b": "y"}, "metadata"),
        ("", {"name": "x", "email": "y"}, None),
        ("starting_after", {}, "starting_after"),
    ],
)
def test_the_field_to_blame_is_one_of_the_patch(param: str, patch: Values, path: str | None) -> None:
    """Where Stripe names a hash or nothing, the value that breaks its limit is found."""
    assert blame(param, patch, CUSTOMER) == path


def test_hints_say_what_to_do() -> None:
    """Limits and forms are named."""
    long = Failure(400, "", "", "Invalid string: xxx…; must be at most 256 characters", "name", {})
    refused = translate(long, keyed=True, described=CUSTOMER, patch={"name": "x" * 300})
    assert isinstance(refused, CallRefused)
    assert (refused.field, refused.status) == ("name", 400)
    assert "256 characters" in refused.hint
    email = Failure(400, "", "email_invalid", "Invalid email address: x", "email", {})
    refused = translate(email, keyed=True, described=CUSTOMER, patch={"email": "x"})
    assert "name@domain" in refused.hint


@pytest.mark.parametrize(("key", "live"), [("sk_test_1", False), ("rk_test_1", False), ("sk_live_1", True)])
def test_a_key_has_a_mode(key: str, live: bool) -> None:
    """By its beginning."""
    assert is_live(key) is live


@pytest.mark.parametrize("key", ["", "pk_live_hunter2", "hunter2", "sk_hunter2", "sk_test_a b"])
def test_what_is_no_key_is_refused_without_being_told(key: str) -> None:
    """Settings errors are shown to people and written to logs."""
    with pytest.raises(SettingsError) as refused:
        is_live(key)
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize("id", ["", " ", ".", "..", "\t"])
def test_an_id_cannot_name_another_path(id: str) -> None:
    """An empty id would read the list, dots another resource."""
    with pytest.raises(CallRefused):
        object_path(CUSTOMER, id)


def test_an_id_is_quoted() -> None:
    """A product's id may be anything."""
    assert object_path(object_type("product"), "a/b?c") == "/v1/products/a%2Fb%3Fc"
