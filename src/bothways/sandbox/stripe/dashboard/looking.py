"""What the page shows, each an address under ``/_sandbox/`` that is only read, but for one:

========================== ===========================================================================================
GET  changes               ``?after=REVISION``: waits until another is reached; the page then looks anew
GET  forms                 what can be written of each kind of object (``forms.py``)
GET  records/OBJECT        ``?limit&contains``: the newest, how many there are, and whether more fit
GET  record/OBJECT/ID      one object, whether it lives, and its events
GET  events                ``?limit&contains``: the newest
GET  event/ID              one event
GET  deliveries            the last ones, the newest first
GET  log                   the last requests to the API, the newest first
POST resend                ``{"event", "endpoint"}``: deliver once more
========================== ===========================================================================================
"""

from __future__ import annotations

from itertools import islice

from bothways.sandbox.stripe.bodies import Body, Handler, kind_of, text, whole
from bothways.sandbox.stripe.dashboard.forms import form
from bothways.sandbox.stripe.filters import Keep
from bothways.sandbox.stripe.more_objects import DESCRIPTIONS
from bothways.sandbox.stripe.sandbox import Sandbox
from bothways.sandbox.stripe.state import Notice
from bothways.sandbox.stripe.words import Document, Json

WAIT_SECONDS = 20.0
"""So long ``changes`` waits; then the page asks again, and notices when nobody is there any more."""
MOST = 1_000
"""So many lines a list may have."""
LINES = 50


async def _changes(sandbox: Sandbox, _: str, body: Body) -> object:
    known = whole(body, "after", 0, 2**53)
    return {"revision": await sandbox.changes.other_than(known, WAIT_SECONDS)}


async def _forms(_: Sandbox, __: str, ___: Body) -> object:
    return {name: form(kind) for name, kind in DESCRIPTIONS.items()}


async def _records(sandbox: Sandbox, rest: str, body: Body) -> object:
    kind = kind_of(rest)
    page = sandbox.state.newest(kind.object, whole(body, "limit", LINES, MOST), _containing(body))
    return {"data": page.documents, "has_more": page.has_more, "count": sandbox.state.counts()[kind.object]}


async def _record(sandbox: Sandbox, rest: str, __: Body) -> object:
    name, _, wanted = rest.partition("/")
    kind = kind_of(name)

    def about(event: Document) -> bool:
        data = event["data"]
        assert isinstance(data, dict)
        shown = data["object"]
        assert isinstance(shown, dict)
        return shown["id"] == wanted and shown["object"] == kind.object

    return {
        "record": sandbox.state.find(kind.object, wanted),
        "events": sandbox.state.events.newest(LINES, about).documents,
    }


async def _events(sandbox: Sandbox, _: str, body: Body) -> object:
    page = sandbox.state.events.newest(whole(body, "limit", LINES, MOST), _containing(body))
    return {"data": page.documents, "has_more": page.has_more, "count": len(sandbox.state.events)}


async def _event(sandbox: Sandbox, rest: str, _: Body) -> object:
    return {
        "event": sandbox.state.events.retrieve(rest),
        "deliveries": [each for each in reversed(sandbox.deliveries.log) if each.event == rest],
    }


async def _deliveries(sandbox: Sandbox, _: str, body: Body) -> object:
    return {"data": list(islice(reversed(sandbox.deliveries.log), whole(body, "limit", LINES, MOST)))}


async def _log(sandbox: Sandbox, _: str, body: Body) -> object:
    return {"data": list(islice(reversed(sandbox.requests), whole(body, "limit", LINES, MOST)))}


async def _resend(sandbox: Sandbox, _: str, body: Body) -> object:
    event = sandbox.state.events.retrieve(text(body, "event"))
    endpoint = text(body, "endpoint")
    if sandbox.state.find("webhook_endpoint", endpoint) is None:
        raise ValueError("no such webhook endpoint")
    sandbox.deliveries.start(Notice(event, (endpoint,)))
    return {"resent": event["id"]}


HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "changes"): _changes,
    ("GET", "forms"): _forms,
    ("GET", "records"): _records,
    ("GET", "record"): _record,
    ("GET", "events"): _events,
    ("GET", "event"): _event,
    ("GET", "deliveries"): _deliveries,
    ("GET", "log"): _log,
    ("POST", "resend"): _resend,
}


def _containing(body: Body) -> Keep:
    """Keeps what holds the text somewhere in its values, whatever the case of the letters."""
    wanted = str(body.get("contains", "")).casefold()
    return lambda document: not wanted or _holds(document, wanted)


def _holds(value: Json, wanted: str) -> bool:
    match value:
        case str():
            return wanted in value.casefold()
        case dict():
            return any(_holds(each, wanted) for each in value.values())
        case list():
            return any(_holds(each, wanted) for each in value)
        case _:
            return False
