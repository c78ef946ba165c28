"""Errors as RFC 9457 problem details: every answer that is no success has this one shape."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from bothways.api.documents import render
from bothways.insight.hiding import hidden
from bothways.insight.seldom import Seldom
from bothways.model.errors import (
    BothwaysError,
    NoSuchRecord,
    NotUnique,
    Refused,
    Transient,
    UnknownEntity,
    WebhookRefused,
)
from bothways.model.values import Value

MEDIA_TYPE = "application/problem+json"

_log = structlog.get_logger(__name__)


class Problem(Exception):
    """What went wrong, as the client is told. ``extra`` are further members of the document."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Value) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = {name: value for name, value in extra.items() if value not in (None, "")}

    @property
    def title(self) -> str:
        """What the status means."""
        return HTTPStatus(self.status).phrase

    def response(self) -> Response:
        """The answer."""
        document = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }
        return Response(hidden(render(document).decode()), self.status, self.headers, MEDIA_TYPE)


def of(error: BothwaysError) -> Problem:
    """How one of our errors is told; what is nobody's fault but ours is a 5xx."""
    match error:
        case UnknownEntity() | NoSuchRecord():
            return Problem(404, error.message, hint=error.hint)
        case NotUnique():
            return Problem(409, error.message, hint=error.hint, constraint=error.constraint)
        case Refused():
            return Problem(422, error.message, hint=error.hint, field=error.field)
        case WebhookRefused():
            return Problem(error.status, error.message, hint=error.hint)
        case Transient():
            seconds = 1 if error.retry_after is None else max(1, ceil(error.retry_after))
            return Problem(503, error.message, hint=error.hint, headers={"Retry-After": str(seconds)})
        case _:
            return Problem(503, error.message, hint=error.hint)


def unexpected() -> Problem:
    """What is told of an error that nobody foresaw: nothing of its inside."""
    return Problem(500, "Something went wrong here; the log says what.")


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(BothwaysError, _Ours())
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


class _Ours:
    """Our errors; those that are the service's fault are logged, though not for each of a thousand requests."""

    def __init__(self) -> None:
        self._seldom = Seldom()

    async def __call__(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, BothwaysError)
        problem = of(error)
        if problem.status >= 500:
            route = getattr(request.scope.get("route"), "path", "")
            kept_back = self._seldom.passes((route, type(error)))
            if kept_back is not None:
                _log.warning("http.unavailable", path=request.url.path, error=str(error), not_told=kept_back)
        return problem.response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors: list[Value] = [_told(each) for each in error.errors()]
    return Problem(422, "A parameter of the request is not valid.", errors=errors).response()


def _told(error: Mapping[str, Any]) -> Value:
    """Where and why; what was sent is not repeated."""
    where, *name = (str(part) for part in error["loc"])
    return {"in": where, "name": ".".join(name), "detail": str(error["msg"])}


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_methods(request, headers.get("Allow", "")))}
    return Problem(error.status_code, _DETAILS.get(error.status_code, error.detail), headers=headers).response()


def _methods(request: Request, known: str) -> list[str]:
    """Every method that this path takes; the router itself knows those of the first route only."""
    found = set(known.split(", ")) if known else set()
    for template, operations in request.app.openapi()["paths"].items():
        if compile_path(template)[0].match(request.url.path):
            found |= {method.upper() for method in operations}
    return sorted(found)


_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not know that method; the header Allow names those that it knows.",
}
