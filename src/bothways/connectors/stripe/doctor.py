"""Every prerequisite at Stripe, one by one, by calls that only read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from bothways.connectors.stripe.client import API_VERSION, StripeApi
from bothways.connectors.stripe.events import EVENTS
from bothways.connectors.stripe.lists import read_all
from bothways.connectors.stripe.objects import event_types, object_type
from bothways.connectors.stripe.webhooks import TOLERANCE_SECONDS
from bothways.model.errors import BothwaysError, Forbidden
from bothways.model.finding import Finding, Grade, fault, ok, warning
from bothways.model.values import Value

ENDPOINTS = "/v1/webhook_endpoints"
CLOCK_SECONDS = 30.0
"""So far our clock may be from Stripe's without a word."""


async def examine(
    api: StripeApi, system: str, objects: Sequence[str], *, secrets: int, restricted: bool
) -> list[Finding]:
    """What was found. ``secrets``: how many signing secrets are configured. Changes nothing."""
    key = f"{system}: key"
    try:
        account = await api.account()
        ahead = await api.now_ahead()
    except BothwaysError as error:
        return [fault(key, error)]
    mode = "live" if api.livemode else "test"
    kind = "restricted, " if restricted else ""
    findings = [ok(key, f"{kind}{mode} mode, account {account or 'not shown to this key'}")]
    findings.append(_clock(system, ahead))
    findings += await _rights(api, system, objects, restricted=restricted)
    findings += await _endpoints(api, system, objects, secrets)
    return findings


def _clock(system: str, ahead: float) -> Finding:
    what, off = f"{system}: clock", abs(ahead)
    found = f"this machine's clock is {off:.0f} s {'ahead of' if ahead > 0 else 'behind'} Stripe's"
    mend = "timedatectl set-ntp true"
    if off > TOLERANCE_SECONDS:
        return Finding(what, Grade.FAULT, f"{found}: every webhook is refused as too old", mend)
    if off > CLOCK_SECONDS:
        return warning(what, f"{found}; from {TOLERANCE_SECONDS:.0f} s on every webhook is refused", mend)
    return ok(what, "the same as Stripe's, to some seconds")


async def _rights(api: StripeApi, system: str, objects: Sequence[str], *, restricted: bool) -> list[Finding]:
    """What the key may read. That it may write can only be seen by writing."""
    what = f"{system}: permissions"
    paths = [object_type(each).path for each in dict.fromkeys(objects)] + [EVENTS]
    for path in paths:
        try:
            await api.request("get", path, {"limit": 1})
        except BothwaysError as error:
            return [fault(f"{what} of {path}", error)]
    found = f"reads {', '.join(path.rpartition('/')[2] for path in paths)}"
    if not restricted:
        return [ok(what, f"{found}; a secret key may write them")]
    return [ok(what, f"{found}; that a restricted key may write them shows with the first write only")]


async def _endpoints(api: StripeApi, system: str, objects: Sequence[str], secrets: int) -> list[Finding]:
    """The webhook endpoints whose address ends as ours does; the host is not known here."""
    what, path = f"{system}: webhook endpoint", f"/webhooks/{system}"
    try:
        found = [
            document
            async for page in read_all(api, ENDPOINTS, {})
            for document in page.documents
            if urlsplit(str(document.get("url"))).path.endswith(path)
        ]
    except Forbidden:
        mend = "look at the endpoint in Stripe's dashboard, or let the key read webhook endpoints"
        return [warning(what, "this key may not look at webhook endpoints", mend), *_secrets(system, secrets, None)]
    except BothwaysError as error:
        return [fault(what, error)]
    if not found:
        text = f"none at Stripe whose address ends with {path}: changes there arrive with the next poll only"
        return [warning(what, text, _create(api, path, objects)), *_secrets(system, secrets, None)]
    return [
        *(_endpoint(f"{what} {each['url']}", each, api, objects) for each in found),
        *_secrets(system, secrets, len(found)),
    ]


def _endpoint(what: str, document: Mapping[str, Value], api: StripeApi, objects: Sequence[str]) -> Finding:
    update = f'curl {api.base}{ENDPOINTS}/{document["id"]} -u "$STRIPE_API_KEY:"'
    if document.get("status") != "enabled":
        return Finding(
            what, Grade.FAULT, f"it is {document.get('status')}: Stripe sends nothing", f"{update} -d disabled=false"
        )
    enabled = document.get("enabled_events")
    events = enabled if isinstance(enabled, Sequence) else ()
    lacking = [] if "*" in events else [each for each in event_types(objects) if each not in events]
    if lacking:
        every = " ".join(f"-d 'enabled_events[]={each}'" for each in dict.fromkeys([*map(str, events), *lacking]))
        return Finding(what, Grade.FAULT, f"is not told of {', '.join(lacking)}", f"{update} {every}")
    version = document.get("api_version")
    if version is not None and version != API_VERSION:
        found = f"has the API version {version}, {API_VERSION} is what events are read by"
        return warning(what, found, f"make another endpoint with -d api_version={API_VERSION}, then delete this one")
    return ok(what, "enabled, and told of everything that is mapped")


def _secrets(system: str, secrets: int, endpoints: int | None) -> list[Finding]:
    what, mend = f"{system}: webhook_secrets", f'[systems.{system}] webhook_secrets = ["env:STRIPE_WEBHOOK_SECRET"]'
    if secrets:
        return [ok(what, f"{secrets} configured")]
    if endpoints:
        return [Finding(what, Grade.FAULT, "none: each webhook that Stripe sends is refused", mend)]
    return [warning(what, "none: no webhook is accepted, the poller brings everything", mend)]


def _create(api: StripeApi, path: str, objects: Sequence[str]) -> str:
    events = " ".join(f"-d 'enabled_events[]={each}'" for each in event_types(objects))
    address = f"-d url=https://YOUR-HOST{path} -d api_version={API_VERSION}"
    return f'curl {api.base}{ENDPOINTS} -u "$STRIPE_API_KEY:" {address} {events}'
