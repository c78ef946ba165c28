"""Idempotency keys: the first answer to a request, kept and repeated.

docs.stripe.com/api/idempotent_requests: kept for a day, 500s included; nothing is kept of requests that fail
validation, that meet another one under way, or that are limited.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

import orjson

from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.words import RawParams, Response

MOST_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class _Kept:
    endpoint: str
    fingerprint: bytes
    expires_at: float
    response: Response | None
    """None while the first request is under way."""


Release: TypeAlias = Callable[[Response | None], None]
"""Ends a request: keeps its answer, or forgets the key (None)."""


class Keys:
    """All keys of the account."""

    def __init__(self, memory_seconds: float, now: Callable[[], float]) -> None:
        self._memory = memory_seconds
        self._now = now
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, key: str, endpoint: str, params: RawParams) -> Response | Release:
        """The kept answer of the same request; or, for a new key, what ends this request.

        Raises ``ApiError`` 400 for another request's key, 409 while the first one is under way.
        """
        if len(key) > MOST_CHARACTERS:
            raise ApiError(400, f"Idempotency keys can have up to {MOST_CHARACTERS} characters.")
        self._expire()
        fingerprint = blake2b(orjson.dumps(params, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
        kept = self._kept.get(key)
        if kept is not None:
            return self._again(key, kept, endpoint, fingerprint)
        begun = _Kept(endpoint, fingerprint, self._now() + self._memory, None)
        self._kept[key] = begun

        def release(response: Response | None) -> None:
            if self._kept.get(key) is not begun:
                return  # forgotten meanwhile
            if response is None:
                del self._kept[key]
            else:
                self._kept[key] = _Kept(endpoint, fingerprint, begun.expires_at, response)

        return release

    def forget(self, key: str | None = None) -> int:
        """Forget one key or all of them; returns how many there were."""
        if key is not None:
            return 0 if self._kept.pop(key, None) is None else 1
        count = len(self._kept)
        self._kept.clear()
        return count

    def _again(self, key: str, kept: _Kept, endpoint: str, fingerprint: bytes) -> Response:
        other = f"Try using a key other than '{key}' if you meant to execute a different request."
        if kept.endpoint != endpoint:
            raise ApiError(
                400,
                "Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{endpoint}' vs '{kept.endpoint}'). {other}",
                type="idempotency_error",
            )
        if kept.fingerprint != fingerprint:
            raise ApiError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"{other}",
                type="idempotency_error",
            )
        if kept.response is None:
            raise ApiError(
                409,
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}. Please try again later.",
                type="idempotency_error",
                code="idempotency_key_in_use",
                headers=(("Stripe-Should-Retry", "true"),),
            )
        return kept.response

    def _expire(self) -> None:
        """The oldest keys come first, and all live equally long."""
        now = self._now()
        while self._kept:
            key, kept = next(iter(self._kept.items()))
            if kept.expires_at > now:
                return
            del self._kept[key]
