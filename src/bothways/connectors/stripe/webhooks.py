"""Stripe's webhooks: the signature, then the event.

Source: https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Sequence

from bothways.connectors.stripe.client import CLOCK_TOLERANCE_SECONDS
from bothways.connectors.stripe.envelope import open_envelope, parse
from bothways.model.errors import WebhookRefused
from bothways.ports import RawEvent

TOLERANCE_SECONDS = CLOCK_TOLERANCE_SECONDS
MOST_SIGNATURES = 32
"""Stripe sends one for each secret that is valid; what has more is not from there."""


def receive(
    body: bytes,
    signature_header: str | None,
    secrets: Sequence[str],
    *,
    now: float,
    livemode: bool,
    objects: Collection[str],
    tolerance: float = TOLERANCE_SECONDS,
) -> RawEvent | None:
    """The event, ready for the log; None for a genuine event of a kind that nothing is mapped to: answer it with 200.

    ``secrets`` are all that are valid now (while one is rolled Stripe signs with both). ``now`` in Unix seconds; a
    signature more than ``tolerance`` seconds away from it, either way, is refused. Raises ``WebhookRefused``, and
    nothing else, whatever is sent.
    """
    verify(body, signature_header, secrets, now=now, tolerance=tolerance)
    try:
        document = parse(body)
        envelope = open_envelope(document, objects, livemode)
    except ValueError as error:
        raise WebhookRefused(400, f"the body is not an event that is taken here: {error}") from None
    if envelope is None:
        return None
    return RawEvent(envelope.id, envelope.described.name, envelope.remote_id, envelope.created, body)


def verify(body: bytes, signature_header: str | None, secrets: Iterable[str], *, now: float, tolerance: float) -> None:
    """Check the signature and its age. Raises ``WebhookRefused``."""
    if not signature_header:
        raise WebhookRefused(400, "the header Stripe-Signature is missing")
    signed_at, signatures = _read_header(signature_header)
    signed = signed_at.encode() + b"." + body
    # One digest for each secret, however many signatures came: a digest of a large body takes milliseconds. Everything
    # is compared, whether something has matched or not, so that the time taken tells nothing.
    right = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    matches = [hmac.compare_digest(digest, given) for digest in right for given in signatures]
    if not any(matches):
        raise WebhookRefused(
            400,
            "no signature matches the body",
            hint="is the endpoint's secret (whsec_…) in webhook_secrets, and the body passed on unchanged?",
        )
    age = now - int(signed_at)
    if abs(age) > tolerance:
        when = "ago" if age > 0 else "in the future"
        hint = "a replayed delivery, or the clock of this machine is wrong: `bothways doctor` compares it with Stripe's"
        raise WebhookRefused(400, f"the signature was made {abs(age):.0f} seconds {when}", hint=hint)


def _read_header(header: str) -> tuple[str, list[bytes]]:
    """The time as it was signed, and every v1 signature; other schemes are not looked at."""
    signed_at = ""
    signatures: list[bytes] = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and not signed_at:
            signed_at = value
        elif name == "v1":
            signatures.append(value.encode("utf-8", "replace"))
    if not (signed_at.isascii() and signed_at.isdigit() and len(signed_at) <= 12):
        raise WebhookRefused(400, "the header Stripe-Signature has no time")
    if not signatures:
        raise WebhookRefused(400, "the header Stripe-Signature has no v1 signature")
    if len(signatures) > MOST_SIGNATURES:
        raise WebhookRefused(400, f"the header Stripe-Signature has more than {MOST_SIGNATURES} v1 signatures")
    return signed_at, signatures
