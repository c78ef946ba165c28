"""What became of a call whose answer cannot be had any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from bothways.connectors.stripe.client import StripeApi
from bothways.connectors.stripe.envelope import Envelope, open_envelope
from bothways.connectors.stripe.fields import ObjectType
from bothways.connectors.stripe.lists import Document, read_all
from bothways.connectors.stripe.objects import object_type
from bothways.connectors.stripe.params import Params, read_object
from bothways.model.errors import Unavailable
from bothways.model.link import Attempt, Call
from bothways.model.record import RemoteObject
from bothways.model.remote import Happening

MARGIN_SECONDS = 600
"""So much longer than an attempt's age its traces are looked for: workers' clocks differ."""

MAX_PAGES = 200
"""Of a list that is searched: 20,000 events or objects since the attempt."""

_HAPPENING = {Call.CREATE: Happening.CREATED, Call.UPDATE: Happening.UPDATED, Call.DELETE: Happening.DELETED}


def archive_key(key: str) -> str:
    """The idempotency key of the update that takes the place of a refused deletion: the same for the same attempt."""
    return f"{key}-archive"


async def find_fate(
    api: StripeApi, attempt: Attempt, *, age: float, looks: int, wait_seconds: float
) -> RemoteObject | None:
    """The snapshot that the attempt's effect left; None where there is no trace of one.

    The attempt was written down ``age`` seconds ago. When that was on Stripe's clock is told by Stripe: were it told by
    ours, and ours ahead, the traces would seem too old, and what was made would be made again.

    The list of events runs behind the calls by a second or two, so it is looked at ``looks`` times, ``wait_seconds``
    apart, before "no trace" is believed. Raises ``Unavailable`` rather than give up half-way.
    """
    since = int(await api.now() - age) - MARGIN_SECONDS
    for look in range(looks):
        if look:
            await asyncio.sleep(wait_seconds)
        found = await _by_event(api, attempt, since)
        if found is None and attempt.call is Call.CREATE and attempt.mark is not None:
            found = await _by_mark(api, attempt, since)
        if found is not None:
            return found
    return None


async def _by_event(api: StripeApi, attempt: Attempt, since: int) -> RemoteObject | None:
    described = object_type(attempt.object)
    params: Params = {"types": _types(described, attempt.call), "created": {"gte": since}}
    keys = {attempt.key, archive_key(attempt.key)}
    async for documents in _bounded(api, "/v1/events", params):
        for document in documents:
            envelope = _named(document, keys, api, described)
            if envelope and (attempt.remote_id is None or envelope.remote_id == attempt.remote_id):
                return envelope.snapshot
    return None


async def _by_mark(api: StripeApi, attempt: Attempt, since: int) -> RemoteObject | None:
    """By list, which shows what was written a moment ago; search would lag."""
    assert attempt.mark is not None
    described = object_type(attempt.object)
    async for documents in _bounded(api, described.path, {"created": {"gte": since}}):
        for document in documents:
            shown = read_object(document, described)
            if shown.mark is not None and (shown.mark.installation, shown.mark.token) == (
                attempt.mark.installation,
                attempt.mark.token,
            ):
                return shown
    return None


async def _bounded(api: StripeApi, path: str, params: Params) -> AsyncIterator[Sequence[Document]]:
    pages = 0
    async for page in read_all(api, path, params):
        yield page.documents
        pages += 1
        if pages == MAX_PAGES and page.next is not None:
            raise Unavailable(
                f"the call's trace is not among the newest {MAX_PAGES * 100} of {path}",
                hint="compare this record by hand and make a change to its row",
            )


def _types(described: ObjectType, call: Call) -> list[str]:
    wanted = {_HAPPENING[call]}
    if call is Call.DELETE and described.archive is not None:
        wanted.add(Happening.UPDATED)
    return [kind for kind, happening in described.events.items() if happening in wanted]


def _named(document: Document, keys: set[str], api: StripeApi, described: ObjectType) -> Envelope | None:
    """The event, if one of our keys made it."""
    request = document.get("request")
    if not isinstance(request, Mapping) or request.get("idempotency_key") not in keys:
        return None
    return open_envelope(document, (described.name,), api.livemode)
