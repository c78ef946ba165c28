"""Settings → Stripe's parts."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from bothways.config.systems import SystemSettings
from bothways.connectors.stripe import doctor, webhooks
from bothways.connectors.stripe.client import StripeApi, Transport
from bothways.connectors.stripe.events import StripeEvents
from bothways.connectors.stripe.fields import Kind as Holds
from bothways.connectors.stripe.limits import refusals
from bothways.connectors.stripe.objects import OBJECTS, check_path
from bothways.connectors.stripe.pace import LocalPace
from bothways.connectors.stripe.remote import StripeRemote
from bothways.model.errors import Forbidden
from bothways.model.finding import Finding
from bothways.model.link import Call
from bothways.model.values import Values
from bothways.ports import Pace, RawEvent
from bothways.wiring.forms import Form
from bothways.wiring.kinds import Connected, RemoteField

ASKED_SECONDS = 10.0
"""Somebody waits for the answer."""

FORMS: Mapping[Holds, Form] = {
    Holds.TEXT: Form.TEXT,
    Holds.METADATA: Form.TEXT,
    Holds.BOOLEAN: Form.BOOLEAN,
    Holds.INTEGER: Form.INTEGER,
    Holds.DECIMAL: Form.DECIMAL,
    Holds.UNIX: Form.UNIX,
    Holds.LIST: Form.LIST,
    Holds.HASH: Form.HASH,
}


class StripeKind:
    """``kinds.Kind`` for Stripe."""

    def objects(self) -> Sequence[str]:
        return sorted(OBJECTS)

    def field(self, object: str, path: str) -> RemoteField:
        found = check_path(object, path)
        return RemoteField(FORMS[found.kind], found.writable)

    def refusals(self, object: str, call: Call, patch: Values) -> Mapping[str, str]:
        return refusals(object, call, patch)

    async def examine(self, name: str, settings: SystemSettings, objects: Sequence[str]) -> Sequence[Finding]:
        api, key = self._api(settings), settings.api_key.get_secret_value()
        secrets, restricted = len(settings.webhook_secrets), key.startswith("rk_")
        try:
            return await doctor.examine(api, name, objects, secrets=secrets, restricted=restricted)
        finally:
            await api.close()

    async def check_key(self, name: str, settings: SystemSettings) -> None:
        api = self._api(settings)
        try:
            await api.account()
        except Forbidden as error:
            raise Forbidden(f"[systems.{name}] api_key: {error.message}", hint=error.hint) from None
        finally:
            await api.close()

    def _api(self, settings: SystemSettings) -> StripeApi:
        """For a few calls, at a rate of their own."""
        key, pace = settings.api_key.get_secret_value(), LocalPace(settings.rate)
        return StripeApi(key, settings.api_base, pace, Transport(answer=min(settings.timeout, ASKED_SECONDS)))

    def connect(
        self,
        name: str,
        settings: SystemSettings,
        objects: Sequence[str],
        pace: Pace,
        installation: str,
        admit: Callable[[str | None], Awaitable[None]],
    ) -> Connected:
        key = settings.api_key.get_secret_value()
        transport = Transport(answer=settings.timeout)
        remote = StripeRemote(name, key, settings.api_base, pace, installation, transport=transport, admit=admit)
        secrets = [secret.get_secret_value() for secret in settings.webhook_secrets]

        def verify(body: bytes, headers: Mapping[str, str]) -> RawEvent | None:
            signature = headers.get("stripe-signature")
            live = remote.livemode
            return webhooks.receive(body, signature, secrets, now=time.time(), livemode=live, objects=objects)

        return Connected(remote, StripeEvents(remote, objects), verify, remote.close)
