"""The account: objects, and events of what happens to them. No I/O; the clock and the random numbers are given."""

from __future__ import annotations

import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bothways.sandbox.stripe.difference import replaced
from bothways.sandbox.stripe.errors import ApiError, missing_parameter, no_such, unknown_parameters
from bothways.sandbox.stripe.events import Events
from bothways.sandbox.stripe.fields import Context, Field, Place
from bothways.sandbox.stripe.filters import Keep
from bothways.sandbox.stripe.ids import Ids
from bothways.sandbox.stripe.listing import Expansion, limit_of, list_document, list_page
from bothways.sandbox.stripe.more_objects import DESCRIPTIONS
from bothways.sandbox.stripe.objects import Description
from bothways.sandbox.stripe.search import SearchIndex, parse
from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.shelf import Page, Shelf
from bothways.sandbox.stripe.words import Cause, Document, Raw, RawParams

MOST_ENDPOINTS = 16


@dataclass(frozen=True, slots=True)
class Notice:
    """An event, and the webhook endpoints that are to be told."""

    event: Document
    endpoints: tuple[str, ...]


class State:
    """One account. Every method is one atomic step; a refusal is an ``ApiError`` and leaves nothing behind."""

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], float],
        chances: random.Random,
        notify: Callable[[Notice], None] = lambda _: None,
    ) -> None:
        self._now = now
        self._notify = notify
        self._ids = Ids(chances)
        self._shelves = {name: Shelf(each.indexed) for name, each in DESCRIPTIONS.items()}
        self._search = {
            name: SearchIndex(settings.search_delay, now) for name, each in DESCRIPTIONS.items() if each.searchable
        }
        self._context = Context(settings, self.find)
        self.events = Events(settings, now, lambda: self._ids.make("evt", 24))
        self.secrets: dict[str, str] = {}
        """Webhook endpoint → its signing secret."""

    def counts(self) -> dict[str, int]:
        """How many living objects there are of each kind, and events."""
        return {name: len(shelf) for name, shelf in self._shelves.items()} | {"event": len(self.events)}

    def all(self, object: str) -> list[Document]:
        """Every living object of that kind, oldest first."""
        return list(self._shelves[object].oldest())

    def newest(self, object: str, limit: int, keep: Keep) -> Page:
        """The living objects of that kind that are to be kept, the newest first."""
        return self._shelves[object].page(limit, after=None, before=None, keep=keep)

    def find(self, object: str, id: str) -> Document | None:
        """The living object."""
        return self._shelves[object].get(id)

    def new_request_id(self) -> str:
        """As ``req_IaKVWo2sqGCYEn``."""
        return self._ids.make("req", 14)

    def new_secret(self) -> str:
        """As ``whsec_…``."""
        return self._ids.make("whsec", 32)

    # ----------------------------------------------------------------------------------------------------------- writes

    def create(self, kind: Description, params: RawParams, cause: Cause) -> Document:
        """A new object; the answer alone shows its secret, if it has one."""
        expansion = _expansion(kind, params)
        self._check_room(kind)
        now = int(self._now())
        made_id = self._ids.make(kind.prefix, kind.id_length)
        fresh: Document = {"id": made_id, "object": kind.object, "created": now}
        fresh.update(kind.initial(self._ids))
        if kind.stamps_updated:
            fresh["updated"] = now
        for name in kind.required:
            if name not in params:
                raise missing_parameter(name)
        document = self._write(kind.create, params, fresh)
        if document["id"] != made_id and self.find(kind.object, str(document["id"])):
            raise ApiError(400, f"{kind.noun.capitalize()} already exists.", code="resource_already_exists", param="id")
        document = kind.finish(document)
        shown = document
        if kind.secret:
            secret = document.pop(kind.secret)
            self.secrets[made_id] = str(secret)
            shown = document | {kind.secret: secret}
        self._keep(kind, document)
        self._happened(kind, "created", document, None, cause)
        return expansion.show(shown, self.find)

    def update(self, kind: Description, id: str, params: RawParams, cause: Cause) -> Document:
        """Write what is sent, leave the rest. No event where nothing changes."""
        before = self._living(kind, id)
        expansion = _expansion(kind, params)
        after = kind.finish(self._write(kind.update, params, before))
        if after == before:
            return expansion.show(before, self.find)
        if kind.stamps_updated:
            after["updated"] = int(self._now())
        self._keep(kind, after)
        self._happened(kind, "updated", after, replaced(before, after), cause)
        return expansion.show(after, self.find)

    def delete(self, kind: Description, id: str, params: RawParams, cause: Cause) -> Document:
        """Gone for good; the event shows the object as it was."""
        document = self._living(kind, id)
        if params:
            raise unknown_parameters(list(params))
        for blocked in kind.blocked:
            if self._shelves[blocked.object].among(blocked.field, id):
                raise ApiError(400, blocked.message)
        self._shelves[kind.object].remove(id)
        if kind.searchable:
            self._search[kind.object].write(id, None)
        self.secrets.pop(id, None)
        self._happened(kind, "deleted", document, None, cause)
        return _stub(kind, id)

    # ------------------------------------------------------------------------------------------------------------ reads

    def retrieve(self, kind: Description, id: str, params: RawParams) -> Document:
        """The object, or the stub of a deleted one where the API shows such."""
        shelf = self._shelves[kind.object]
        document = shelf.get(id)
        if document is None and kind.shows_deleted and shelf.was_here(id):
            return _stub(kind, id)
        expansion = _expansion(kind, params)
        _refuse_others(params, ("expand",))
        return expansion.show(self._living(kind, id), self.find)

    def list(self, kind: Description, params: RawParams) -> Document:
        """A page of objects, newest first."""
        expansion = Expansion(params.get("expand"), kind.references, in_list=True)
        shelf = self._shelves[kind.object]
        page = list_page(shelf, params, kind.filters, noun=kind.noun, indexed=kind.indexed)
        return list_document(self._expanded(page, expansion), f"/v1/{kind.path}")

    def search(self, kind: Description, params: RawParams) -> Document:
        """A page of what the query finds among states that search knows already."""
        _refuse_others(params, ("query", "limit", "page", "expand"))
        query = params.get("query")
        if not isinstance(query, str) or not query:
            raise missing_parameter("query")
        expansion = Expansion(params.get("expand"), kind.references, in_list=True)
        shelf = self._search[kind.object].shelf()
        after = _read_cursor(params["page"], shelf) if "page" in params else None
        page = shelf.page(limit_of(params), after=after, before=None, keep=parse(query, kind.searchable))
        found = list_document(self._expanded(page, expansion), f"/v1/{kind.path}/search")
        following = urlsafe_b64encode(str(page.documents[-1]["id"]).encode()).decode() if page.has_more else None
        return found | {"object": "search_result", "next_page": following}

    # ------------------------------------------------------------------------------------------------------------ steps

    def _living(self, kind: Description, id: str) -> Document:
        document = self.find(kind.object, id)
        if document is None:
            raise no_such(kind.noun, id, "id", 404)
        return document

    def _check_room(self, kind: Description) -> None:
        if kind.object == "webhook_endpoint" and len(self._shelves[kind.object]) >= MOST_ENDPOINTS:
            raise ApiError(400, f"You have reached the maximum of {MOST_ENDPOINTS} webhook endpoints.")

    def _write(self, fields: Mapping[str, Field], params: RawParams, before: Document) -> Document:
        """A changed copy. A field that the object does not show stays away while it is null."""
        unknown = [name for name in params if name not in fields and name != "expand"]
        if unknown:
            raise unknown_parameters(unknown)
        after = dict(before)
        for name, raw in params.items():
            if name == "expand":
                continue
            value = fields[name].write(raw, Place(name, before.get(name), self._context))
            if value is not None or name in after:
                after[name] = value
        return after

    def _keep(self, kind: Description, document: Document) -> None:
        self._shelves[kind.object].put(str(document["id"]), document)
        if kind.searchable:
            self._search[kind.object].write(str(document["id"]), document)

    def _happened(
        self, kind: Description, what: str, document: Document, previous: Document | None, cause: Cause
    ) -> None:
        if not kind.makes_events:
            return
        event_type = f"{kind.object}.{what}"
        endpoints = tuple(str(each["id"]) for each in self._shelves["webhook_endpoint"] if wants(each, event_type))
        self._notify(Notice(self.events.make(event_type, document, previous, cause, len(endpoints)), endpoints))

    def _expanded(self, page: Page, expansion: Expansion) -> Page:
        return Page([expansion.show(document, self.find) for document in page.documents], page.has_more)


def wants(endpoint: Document, type: str) -> bool:
    """Whether a webhook endpoint is to be told of events of this type."""
    enabled = endpoint["enabled_events"]
    assert isinstance(enabled, list)
    return endpoint["status"] == "enabled" and ("*" in enabled or type in enabled)


def _stub(kind: Description, id: str) -> Document:
    return {"id": id, "object": kind.object, "deleted": True}


def _expansion(kind: Description, params: RawParams) -> Expansion:
    return Expansion(params.get("expand"), kind.references, in_list=False)


def _refuse_others(params: RawParams, known: tuple[str, ...]) -> None:
    unknown = [name for name in params if name not in known]
    if unknown:
        raise unknown_parameters(unknown)


def _read_cursor(raw: Raw, shelf: Shelf) -> str:
    try:
        cursor = urlsafe_b64decode(str(raw).encode()).decode()
    except (NotBase64, UnicodeDecodeError):
        cursor = ""
    if not shelf.was_here(cursor):
        raise ApiError(400, "Invalid page: it is not a next_page of this search.", param="page")
    return cursor
