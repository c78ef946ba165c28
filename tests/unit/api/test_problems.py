"""How errors are told."""

from __future__ import annotations

import json

import pytest

from bothways.api import problems
from bothways.api.problems import Problem
from bothways.model.errors import (
    BothwaysError,
    Busy,
    Forbidden,
    NoSuchRecord,
    NotUnique,
    RowRefused,
    Unavailable,
    UnknownEntity,
    WebhookRefused,
)


@pytest.mark.parametrize(
    ("error", "status", "members"),
    [
        (UnknownEntity("no entity", hint="customer"), 404, {"detail": "no entity", "hint": "customer"}),
        (NoSuchRecord("no record"), 404, {"detail": "no record"}),
        (NotUnique("there is one", constraint="customers_email_key"), 409, {"constraint": "customers_email_key"}),
        (RowRefused("too long", field="name", hint="shorten it"), 422, {"field": "name", "hint": "shorten it"}),
        (WebhookRefused(400, "forged"), 400, {"detail": "forged"}),
        (Busy("locked"), 503, {"detail": "locked"}),
        (Forbidden("login refused"), 503, {"detail": "login refused"}),
    ],
)
def test_each_error_has_its_answer(error: BothwaysError, status: int, members: dict[str, str]) -> None:
    """Status, detail, and what the error knows besides; the hint is a member of its own."""
    response = problems.of(error).response()
    document = json.loads(bytes(response.body))
    assert response.status_code == document["status"] == status
    assert response.media_type == "application/problem+json"
    assert members.items() <= document.items()
    assert document["title"]


@pytest.mark.parametrize(("asked", "told"), [(None, "1"), (0.0, "1"), (2.1, "3"), (30.0, "30")])
def test_what_may_work_later_says_when(asked: float | None, told: str) -> None:
    """``Retry-After`` in whole seconds, at least one."""
    assert problems.of(Unavailable("no answer", retry_after=asked)).headers == {"Retry-After": told}


def test_empty_members_are_left_out() -> None:
    """No hint, no field: no such member."""
    assert json.loads(bytes(Problem(400, "bad", hint="", field=None).response().body)) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "bad",
    }
