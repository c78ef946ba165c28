"""What Stripe's errors mean for us.

Sources: https://docs.stripe.com/api/errors, https://docs.stripe.com/error-codes, https://docs.stripe.com/rate-limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import stripe

from bothways.connectors.stripe.fields import ObjectType
from bothways.connectors.stripe.hints import blame, hint_for
from bothways.model.errors import BothwaysError, CallRefused, FateUnknown, Forbidden, RateLimited, Unavailable
from bothways.model.values import Value, Values

_KEYS = re.compile(r"\b(?:sk|rk|pk|whsec)_[A-Za-z0-9_*]+")
_OTHER_MODE = re.compile(r"exists in (live|test) mode", re.IGNORECASE)
_NOT_STRIPE = "the answer is none of Stripe's"


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that says no."""

    status: int
    type: str
    code: str
    message: str
    param: str
    headers: Mapping[str, str]

    @property
    def replayed(self) -> bool:
        """Whether the remote repeats what it answered to an earlier call under this key."""
        return self.headers.get("idempotent-replayed") == "true"

    @property
    def should_retry(self) -> str | None:
        """``true`` or ``false`` where Stripe says so."""
        return self.headers.get("stripe-should-retry")

    @property
    def retry_after(self) -> float | None:
        """Seconds; Stripe does not promise this header."""
        text = self.headers.get("retry-after", "")
        return float(text) if re.fullmatch(r"\d{1,6}(\.\d+)?", text) else None

    def is_missing(self, object: str) -> bool:
        """Whether the object of the request's path is not there (and not one that a parameter names)."""
        return self.status == 404 and self.code == "resource_missing" and self.param in ("", "id", object)

    @property
    def of_other_mode(self) -> bool:
        """Whether the object is there, but in the mode that the key does not belong to."""
        return self.code == "resource_missing" and _OTHER_MODE.search(self.message) is not None

    @property
    def asks_for_fewer_calls(self) -> bool:
        """A 429 for the rate; one for a locked object says nothing about the rate."""
        if self.status == 400:
            return self.code == "rate_limit"
        return self.status == 429 and (self.code != "lock_timeout" or "stripe-rate-limited-reason" in self.headers)


def read_failure(error: stripe.StripeError) -> Failure | None:
    """The parts of an error answer; None where nothing was answered, or by something between us and Stripe."""
    body = error.json_body
    detail = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(detail, Mapping) or error.http_status is None:
        return None
    text = {name: str(detail.get(name) or "") for name in ("type", "code", "message", "param")}
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return Failure(error.http_status, text["type"], text["code"], clean(text["message"]), text["param"], headers)


def clean(message: str) -> str:
    """The message without anything that looks like a key or a secret."""
    return _KEYS.sub("…", message)


def transport_error(error: stripe.StripeError, base: str) -> Unavailable:
    """For what ``read_failure`` knows nothing of. ``base``: where Stripe was asked."""
    if error.http_status is None:
        why = clean(error.user_message or type(error).__name__)
        hint = "look at the network, at api_base, and at proxies between here and Stripe"
        return Unavailable(f"Stripe does not answer at {base}: {why}", hint=hint)
    return Unavailable(
        f"HTTP {error.http_status} of {base}: {_NOT_STRIPE}",
        hint="look at api_base, and at proxies between here and Stripe",
    )


def translate(
    failure: Failure, *, keyed: bool, described: ObjectType | None = None, patch: Mapping[str, Value] | None = None
) -> BothwaysError:
    """Our error for one of Stripe's. ``keyed``: the call carried an idempotency key, so that a repetition replays."""
    said = f"Stripe: {failure.message or f'HTTP {failure.status}'}"
    if failure.asks_for_fewer_calls:
        return RateLimited(said, hint="lower rate in the system's settings", retry_after=failure.retry_after)
    if failure.status in (401, 403) or failure.of_other_mode:
        return _forbidden(failure, said)
    if failure.status in (409, 429):
        return Unavailable(said, retry_after=failure.retry_after)
    if failure.type == "idempotency_error":
        return FateUnknown(said)
    if failure.status >= 500:
        # Where Stripe advises against a retry, the stored answer would come again under the same key.
        if keyed and (failure.replayed or failure.should_retry == "false"):
            return FateUnknown(said)
        return Unavailable(said, retry_after=failure.retry_after)
    if failure.should_retry == "true":
        return Unavailable(said, retry_after=failure.retry_after)
    return _refused(failure, said, described, patch or {})


def _forbidden(failure: Failure, said: str) -> Forbidden:
    if failure.of_other_mode:
        return Forbidden(said, hint="the key is of the other mode than the records: use the key they were made with")
    if failure.status == 401:
        return Forbidden(said, hint="put a valid key into api_key of the system's settings")
    return Forbidden(said, hint="give the restricted key read and write access to what is mapped, and read to events")


def _refused(failure: Failure, said: str, described: ObjectType | None, patch: Values) -> CallRefused:
    field = blame(failure.param, patch, described)
    hint = hint_for(failure.code, failure.message, field, described)
    return CallRefused(said, field=field, hint=hint, status=failure.status)
