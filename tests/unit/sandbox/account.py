"""A state with a clock that the test moves."""

from __future__ import annotations

import random

import pytest

from bothways.sandbox.stripe.errors import ApiError
from bothways.sandbox.stripe.more_objects import DESCRIPTIONS
from bothways.sandbox.stripe.params import from_json
from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.state import Notice, State
from bothways.sandbox.stripe.words import Cause, Document, Json, RawParams

CAUSE = Cause("req_1", "key-1")


class Account:
    """The state, and short names for what tests do with it. Parameters are JSON, encoded as a client would."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.now = 1_000_000.0
        self.notices: list[Notice] = []
        self.state = State(settings or Settings(), lambda: self.now, random.Random(1), self.notices.append)

    def create(self, object: str, /, **params: object) -> Document:
        return self.state.create(DESCRIPTIONS[object], raw(params), CAUSE)

    def update(self, document: Document, /, **params: object) -> Document:
        return self.state.update(DESCRIPTIONS[str(document["object"])], str(document["id"]), raw(params), CAUSE)

    def delete(self, document: Document, /) -> Document:
        return self.state.delete(DESCRIPTIONS[str(document["object"])], str(document["id"]), {}, CAUSE)

    def retrieve(self, object: str, id: str, /, **params: object) -> Document:
        return self.state.retrieve(DESCRIPTIONS[object], id, raw(params))

    def list(self, object: str, /, **params: object) -> Document:
        return self.state.list(DESCRIPTIONS[object], raw(params))

    def search(self, object: str, query: str, /, **params: object) -> Document:
        return self.state.search(DESCRIPTIONS[object], raw({"query": query, **params}))

    @property
    def last_event(self) -> Document:
        return self.notices[-1].event


def raw(params: dict[str, object]) -> RawParams:
    """Parameters as they arrive."""
    return {name: from_json(value) for name, value in params.items()}


def part(document: Document, *path: str) -> Json:
    """What stands at that path."""
    value: Json = document
    for name in path:
        assert isinstance(value, dict)
        value = value[name]
    return value


def ids(page: Document) -> list[str]:
    """The ids of a page."""
    data = page["data"]
    assert isinstance(data, list)
    return [str(part(each, "id")) for each in data if isinstance(each, dict)]


def refused(
    status: int, *, message: str = "", param: str | None = None, code: str | None = None
) -> pytest.RaisesExc[ApiError]:
    """An ``ApiError`` with these parts."""

    def fits(error: ApiError) -> bool:
        return (
            error.status == status
            and message in error.message
            and (param is None or error.param == param)
            and (code is None or error.code == code)
        )

    return pytest.RaisesExc(ApiError, check=fits)
