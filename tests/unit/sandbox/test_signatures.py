"""Webhook signatures, as the official SDK checks them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import SignatureVerificationError, WebhookSignature

from bothways.sandbox.stripe.webhooks import sign


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_sdk_accepts_the_signature(payload: str) -> None:
    """By either of two secrets, and by no other."""
    header = sign(payload.encode(), ["whsec_new", "whsec_old"], int(time.time()))
    assert WebhookSignature.verify_header(payload, header, "whsec_new", 300)
    assert WebhookSignature.verify_header(payload, header, "whsec_old", 300)
    with pytest.raises(SignatureVerificationError):
        WebhookSignature.verify_header(payload, header, "whsec_other", 300)
    with pytest.raises(SignatureVerificationError):
        WebhookSignature.verify_header(payload + " ", header, "whsec_new", 300)


def test_an_old_signature_is_refused() -> None:
    """Its time stands in it."""
    header = sign(b"{}", ["whsec_a"], int(time.time()) - 301)
    with pytest.raises(SignatureVerificationError):
        WebhookSignature.verify_header("{}", header, "whsec_a", 300)
