"""``[systems.NAME]``: the remote systems."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from bothways.config.base import Model
from bothways.config.units import Duration, Rate

PLANNED_KINDS = ("salesforce",)
"""Kinds that will come; they get a message of their own."""


class StripeSettings(Model):
    """A Stripe account, in live or in test mode as its key says."""

    kind: Literal["stripe"] = Field("stripe", description="What this system is; its name says it unless set.")
    api_key: SecretStr = Field(
        description="The secret or restricted key.", examples=['"env:STRIPE_API_KEY"'], min_length=1
    )
    api_base: str = Field("https://api.stripe.com", description="Where the API is: a sandbox or a stand-in.")
    webhook_secrets: tuple[SecretStr, ...] = Field(
        (), description="Signing secrets of the webhook endpoints; several while one is rolled."
    )
    rate: Rate = Field(25.0, description="Calls a second that all workers together make at most.", examples=["25"])
    poll: Duration = Field(60.0, description="How often the event list is asked for what webhooks missed.")
    timeout: Duration = Field(30.0, description="How long a call may take.")
    max_deletions: int = Field(
        1000,
        description="More deletions than these in a minute, in one direction, pause that direction until "
        "`bothways resume SYSTEM --allow-deletions`.",
        ge=0,
    )

    @property
    def is_live(self) -> bool:
        """Whether the key is one of live mode."""
        return "_live_" in self.api_key.get_secret_value()

    @field_validator("api_key")
    @classmethod
    def _is_a_secret_key(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text.startswith("pk_"):
            raise ValueError("is a publishable key, which can read nothing; use the secret key, sk_… or rk_…")
        if not text.startswith(("sk_test_", "sk_live_", "rk_test_", "rk_live_")):
            raise ValueError("is no key of Stripe's: those begin with sk_test_, sk_live_, rk_test_ or rk_live_")
        return value

    @field_validator("api_base")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError('must be a scheme and a host, as "http://127.0.0.1:12111"')
        return value.rstrip("/")

    @field_validator("webhook_secrets")
    @classmethod
    def _none_is_empty(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(not secret.get_secret_value() for secret in value):
            raise ValueError("has an empty secret; anybody could sign with that")
        if not all(secret.get_secret_value().startswith("whsec_") for secret in value):
            raise ValueError("has one that is no signing secret of a webhook endpoint: those begin with whsec_")
        return value

    @model_validator(mode="after")
    def _live_keys_go_to_https(self) -> StripeSettings:
        if self.is_live and not self.api_base.startswith("https:"):
            raise ValueError("a live key is sent over https only; use a test key here, or an https api_base")
        return self


SystemSettings = StripeSettings
"""Settings of any remote system: the union over ``kind``, as soon as there are two."""
