"""Reading Stripe's lists, which run from the newest to the oldest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from bothways.connectors.stripe.client import Reply, StripeApi
from bothways.connectors.stripe.params import Params
from bothways.model.errors import CallRefused, Unavailable
from bothways.model.values import Value

PAGE = 100
"""Stripe's longest page."""

Document = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last object that was read; with its time, so that the reading goes on if it is deleted meanwhile."""

    created: int
    id: str

    def __str__(self) -> str:
        return f"{self.created}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The inverse of ``str``. Raises ``ValueError``."""
        created, _, object_id = text.partition(":")
        if not object_id:
            raise ValueError(f"not a cursor: {text!r}")
        return cls(int(created), object_id)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    documents: Sequence[Document]
    reply: Reply
    next: Cursor | None
    """None at the end."""


async def read_page(api: StripeApi, path: str, params: Params, cursor: Cursor | None, limit: int = PAGE) -> Page:
    """What follows the cursor. After an object that is gone, the second it was made in is read again."""
    asked = {**params, "limit": min(limit, PAGE)}
    try:
        reply = await api.request("get", path, asked | ({"starting_after": cursor.id} if cursor else {}))
    except CallRefused as refused:
        if cursor is None or refused.field != "starting_after":
            raise
        created = {**params.get("created", {}), "lte": cursor.created}
        reply = await api.request("get", path, asked | {"created": created})
    documents = _documents(reply)
    more = reply.document is not None and reply.document.get("has_more") is True and bool(documents)
    return Page(documents, reply, _cursor(documents[-1]) if more else None)


async def read_all(api: StripeApi, path: str, params: Params) -> AsyncIterator[Page]:
    """Every page of a list, from the newest on."""
    cursor: Cursor | None = None
    while True:
        page = await read_page(api, path, params, cursor)
        yield page
        if page.next is None:
            return
        cursor = page.next


def _documents(reply: Reply) -> list[Document]:
    data = reply.document.get("data") if reply.document is not None else None
    if not isinstance(data, list) or not all(isinstance(entry, Mapping) for entry in data):
        raise Unavailable("Stripe's answer is no list of objects")
    return data


def _cursor(document: Document) -> Cursor:
    created, object_id = document.get("created"), document.get("id")
    if not isinstance(created, int) or not isinstance(object_id, str):
        raise Unavailable("Stripe's list has an object without id and time")
    return Cursor(created, object_id)
