"""An ordered collection of documents, newest first, read in pages by cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bothways.sandbox.stripe.filters import Keep
from bothways.sandbox.stripe.words import Document, Json


@dataclass(frozen=True, slots=True)
class Page:
    """One page, newest first."""

    documents: list[Document]
    has_more: bool


class Shelf:
    """Documents by id, in the order in which they came.

    A cursor stays good when its document is removed; it is lost when it is forgotten.
    """

    def __init__(self, indexed: Iterable[str] = ()) -> None:
        self._documents: dict[str, Document] = {}
        self._order: list[str] = []
        self._places: dict[str, int] = {}
        self._forgotten = 0
        self._indexes: dict[str, dict[Json, set[str]]] = {name: {} for name in indexed}

    def __len__(self) -> int:
        return len(self._documents)

    def __iter__(self) -> Iterator[Document]:
        return iter(self._documents.values())

    def get(self, id: str) -> Document | None:
        """The document, if it is here."""
        return self._documents.get(id)

    def was_here(self, id: str) -> bool:
        """Whether a document of that id was ever put here (and is not forgotten)."""
        return id in self._places

    def put(self, id: str, document: Document) -> None:
        """Add it as the newest, or replace it where it stands."""
        before = self._documents.get(id)
        self._index(before, document)
        if before is None:
            if id in self._places:  # used again after a removal: a new place
                self._order[self._places[id] - self._forgotten] = ""
            self._places[id] = self._forgotten + len(self._order)
            self._order.append(id)
        self._documents[id] = document

    def remove(self, id: str) -> None:
        """Take it away; its place stays a cursor."""
        self._index(self._documents.pop(id), None)

    def forget_oldest(self, count: int) -> None:
        """Take the oldest away, and their places with them."""
        for oldest in filter(None, self._order[:count]):
            self._places.pop(oldest)
            self._index(self._documents.pop(oldest, None), None)
        del self._order[:count]
        self._forgotten += count

    def oldest(self) -> Iterator[Document]:
        """From the oldest on."""
        return (self._documents[each] for each in self._order if each in self._documents)

    def among(self, name: str, value: Json) -> list[str]:
        """Ids of the documents whose indexed field is this, oldest first."""
        return sorted(self._indexes[name].get(value, ()), key=self._places.__getitem__)

    def page(
        self, limit: int, *, after: str | None, before: str | None, keep: Keep, ids: list[str] | None = None
    ) -> Page:
        """A page of what is older than ``after``, or next newer than ``before``; ``ids`` (oldest first) narrows it."""
        order = self._order if ids is None else ids
        if before is not None:
            found = self._take(self._newer(order, self._places[before]), limit + 1, keep)
            return Page(found[:limit][::-1], len(found) > limit)
        bound = self._forgotten + len(self._order) if after is None else self._places[after]
        found = self._take(self._older(order, bound), limit + 1, keep)
        return Page(found[:limit], len(found) > limit)

    def _older(self, order: list[str], bound: int) -> Iterator[str]:
        """Newest first, only places before the bound."""
        if order is self._order:
            return (order[at] for at in range(bound - self._forgotten - 1, -1, -1))
        return (each for each in reversed(order) if self._places[each] < bound)

    def _newer(self, order: list[str], bound: int) -> Iterator[str]:
        """Oldest first, only places behind the bound."""
        if order is self._order:
            return (order[at] for at in range(bound - self._forgotten + 1, len(order)))
        return (each for each in order if self._places[each] > bound)

    def _take(self, ids: Iterator[str], most: int, keep: Keep) -> list[Document]:
        found: list[Document] = []
        for each in ids:
            document = self._documents.get(each)
            if document is not None and keep(document):
                found.append(document)
                if len(found) == most:
                    break
        return found

    def _index(self, before: Document | None, after: Document | None) -> None:
        for name, index in self._indexes.items():
            old = before.get(name) if before else None
            new = after.get(name) if after else None
            if old == new:
                continue
            if before and old is not None:
                assert not isinstance(old, list | dict)
                index[old].discard(str(before["id"]))
                if not index[old]:
                    del index[old]
            if after and new is not None:
                assert not isinstance(new, list | dict)
                index.setdefault(new, set()).add(str(after["id"]))
