"""Lists: limit, cursors, filters, and what ``expand`` shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bothways.sandbox.stripe.errors import ApiError, no_such, unknown_parameters
from bothways.sandbox.stripe.filters import Filter, Keep, strings, whole
from bothways.sandbox.stripe.shelf import Page, Shelf
from bothways.sandbox.stripe.words import Document, Json, Raw, RawParams

PAGING = ("limit", "starting_after", "ending_before", "expand")


def limit_of(params: RawParams) -> int:
    """1 to 100, 10 if nothing is said. What lies outside is drawn in, as the service was seen to do."""
    return min(100, max(1, whole(params["limit"], "limit"))) if "limit" in params else 10


def cursor_of(params: RawParams, name: str, shelf: Shelf, noun: str) -> str | None:
    """The id that a page begins beside."""
    raw = params.get(name)
    if raw is None or raw == "":
        return None
    if not isinstance(raw, str) or not shelf.was_here(raw):
        raise no_such(noun, str(raw), name)
    return raw


def list_page(
    shelf: Shelf, params: RawParams, filters: Mapping[str, Filter], *, noun: str, indexed: tuple[str, ...] = ()
) -> Page:
    """The page that these parameters ask for."""
    unknown = [name for name in params if name not in filters and name not in PAGING]
    if unknown:
        raise unknown_parameters(unknown)
    keep = _all([filters[name].read(raw, name) for name, raw in params.items() if name in filters and raw != ""])
    limit = limit_of(params)
    after = cursor_of(params, "starting_after", shelf, noun)
    before = cursor_of(params, "ending_before", shelf, noun)
    if after and before:
        raise ApiError(400, "Received both starting_after and ending_before parameters. Please pass in only one.")
    ids = next(
        (shelf.among(name, value) for name in indexed if isinstance(value := params.get(name), str) and value), None
    )
    return shelf.page(limit, after=after, before=before, keep=keep, ids=ids)


def list_document(page: Page, url: str) -> Document:
    """A list as the API shows it."""
    data: list[Json] = list(page.documents)
    return {"object": "list", "data": data, "has_more": page.has_more, "url": url}


def _all(keeps: list[Keep]) -> Keep:
    if len(keeps) == 1:
        return keeps[0]
    return lambda document: all(keep(document) for keep in keeps)


class Expansion:
    """What a request wants to see in place of ids. Paths are checked when it is made."""

    def __init__(self, raw: Raw | None, references: Mapping[str, str | None], *, in_list: bool) -> None:
        paths = strings(raw, "expand", 50) if raw not in (None, "") else []
        self._paths: list[tuple[list[str], str]] = []
        for path in paths:
            inner = path.removeprefix("data.") if in_list else path
            if in_list and path == "data":
                continue
            if inner not in references or (in_list and inner == path):
                raise _cannot_expand(path, in_list=in_list)
            kind = references[inner]
            if kind is not None:
                self._paths.append((inner.split("."), kind))

    def show(self, document: Document, find: Callable[[str, str], Document | None]) -> Document:
        """The document with its ids replaced; the document itself stays as it is."""
        for parts, kind in self._paths:
            document = _replace(document, parts, kind, find)
        return document


def _replace(document: Document, parts: list[str], kind: str, find: Callable[[str, str], Document | None]) -> Document:
    value = document.get(parts[0])
    if len(parts) > 1 and isinstance(value, dict):
        return document | {parts[0]: _replace(value, parts[1:], kind, find)}
    if isinstance(value, str):
        return document | {parts[0]: find(kind, value) or value}
    return document


def _cannot_expand(path: str, *, in_list: bool) -> ApiError:
    hint = f" You may want to try expanding 'data.{path}' instead." if in_list and not path.startswith("data.") else ""
    return ApiError(400, f"This property cannot be expanded ({path}).{hint}", param="expand")
