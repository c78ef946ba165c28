"""``/v1/records``: the user's records. Writes go to the database only; capture brings them to the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.responses import Response

from bothways.api.documents import render
from bothways.api.gate import Gate
from bothways.api.problems import Problem
from bothways.api.requests import ApiKeys, Bodies
from bothways.ports import Records, Written

TOKEN_HEADER = "Bothways-Token"  # noqa: S105 - a header's name
REPEATED_HEADER = "Idempotent-Replayed"
KEY_LENGTH = 255

Entity = Annotated[str, Path(description="The entity's name in the settings.", examples=["customer"])]
Key = Annotated[str, Path(description="The primary key; columns of a compound one with commas.", examples=["7"])]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most records in the answer.")]
Cursor = Annotated[str | None, Query(max_length=4096, description="The next_cursor of the page before.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=KEY_LENGTH,
        description="The same key with the same body repeats the first answer.",
    ),
]


class _Endpoints:
    """The five operations on records."""

    def __init__(self, records: Records, bodies: Bodies) -> None:
        self._records = records
        self._bodies = bodies
        self._gate = Gate()

    async def page(self, entity: Entity, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """List records, by primary key."""
        async with self._gate.enter():
            page = await self._records.list(_plain(entity), limit, cursor)
        return _answer({"data": list(page.rows), "next_cursor": page.next_cursor})

    async def create(self, request: Request, entity: Entity, idempotency_key: IdempotencyKey = None) -> Response:
        """Create a record; answers the row as it is, with what the database filled in."""
        return _written(await self._write(request, _plain(entity), None, _usable(idempotency_key)), 201)

    async def get(self, entity: Entity, key: Key) -> Response:
        """Show one record."""
        async with self._gate.enter():
            row = await self._records.get(_plain(entity), _plain(key))
        return _answer(row)

    async def update(
        self, request: Request, entity: Entity, key: Key, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Set the columns that the body names; the others stay as they are."""
        return _written(await self._write(request, _plain(entity), _plain(key), _usable(idempotency_key)), 200)

    async def delete(self, entity: Entity, key: Key) -> Response:
        """Delete a record; what follows at the remote systems is for the entity's settings to say."""
        async with self._gate.enter(_record(_plain(entity), _plain(key))):
            token = await self._records.delete(entity, key)
        return Response(status_code=204, headers={TOKEN_HEADER: token})

    async def _write(self, request: Request, entity: str, key: str | None, idempotency_key: str | None) -> Written:
        things = [] if key is None else [_record(entity, key)]
        if idempotency_key is not None:
            things.append(f"idempotency key {idempotency_key}")
        async with self._bodies.read_json(request) as values, self._gate.enter(*things):
            return await self._records.write(entity, key, values, idempotency_key=idempotency_key)


def records_router(records: Records, keys: ApiKeys, bodies: Bodies) -> APIRouter:
    """The routes over the user's records."""
    endpoints = _Endpoints(records, bodies)
    router = APIRouter(prefix="/v1/records", tags=["records"], dependencies=[Depends(keys.check)])
    body = {"requestBody": {"required": True, "content": _json(_RECORD)}}
    one, all_of = "/{entity}/{key:path}", "/{entity}"
    routes: list[tuple[str, str, str, Callable[..., Any], int, dict[str, Any] | None]] = [
        ("list_records", "GET", all_of, endpoints.page, 200, _PAGE),
        ("create_record", "POST", all_of, endpoints.create, 201, _RECORD),
        ("get_record", "GET", one, endpoints.get, 200, _RECORD),
        ("update_record", "PATCH", one, endpoints.update, 200, _RECORD),
        ("delete_record", "DELETE", one, endpoints.delete, 204, None),
    ]
    for name, method, path, endpoint, status, schema in routes:
        answer: dict[str, Any] = {"description": "The write is in the database." if method != "GET" else "Found."}
        if schema:
            answer["content"] = _json(schema)
        if method != "GET":
            answer["headers"] = {TOKEN_HEADER: {"schema": {"type": "string"}, "description": "Stands for the write."}}
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            status_code=status,
            responses={status: answer, **_PROBLEMS},
            response_class=Response,
            openapi_extra=body if method in ("POST", "PATCH") else None,
            operation_id=name,
        )
    return router


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


_RECORD: dict[str, Any] = {
    "type": "object",
    "additionalProperties": True,
    "description": "Column → value. Decimals, dates and times are text, bytes are base64.",
    "example": {"name": "Ada Lovelace", "email": "ada@example.org"},
}
_PAGE: dict[str, Any] = {
    "type": "object",
    "required": ["data", "next_cursor"],
    "properties": {
        "data": {"type": "array", "items": _RECORD},
        "next_cursor": {"type": ["string", "null"], "description": "Null on the last page."},
    },
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "What is wrong with the request, as problem details."},
    "503": {"description": "The database does not answer or is busy: try again after Retry-After seconds."},
}


def _answer(document: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(render(document), status, headers, "application/json")


def _written(written: Written, status: int) -> Response:
    headers = {TOKEN_HEADER: written.token}
    if written.repeated:
        headers[REPEATED_HEADER] = "true"
    return _answer(written.row, status, headers)


def _record(entity: str, key: str) -> str:
    return f"record {entity}/{key}"


def _plain(name: str) -> str:
    """An entity or key that can be one: no control characters, which no database takes in a name or value."""
    if not name or not name.isprintable():
        raise Problem(404, "There is no such record.")
    return name


def _usable(key: str | None) -> str | None:
    if key is not None and not (key and key.isascii() and key.isprintable()):
        raise Problem(400, f"The Idempotency-Key must be 1 to {KEY_LENGTH} printable ASCII characters.")
    return key
