"""The reference page and the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bothways.api.app import create_app
from bothways.api.reference import reference_page
from bothways.flow.receive import Receiver
from bothways.insight.metrics import Metrics
from bothways.model.values import Values
from bothways.ports import RecordPage, Written


class NoRecords:
    """Records of no entity at all: only the routes are looked at."""

    async def list(self, entity: str, limit: int, cursor: str | None) -> RecordPage:
        return RecordPage((), None)

    async def get(self, entity: str, key: str) -> Values:
        return {}

    async def write(
        self, entity: str, key: str | None, values: Values, *, idempotency_key: str | None = None
    ) -> Written:
        return Written(values, "")

    async def delete(self, entity: str, key: str) -> str:
        return ""


class Takes:
    """Takes everything."""

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> bool:
        return True


def document(*, records: bool = True, receivers: Mapping[str, Receiver] | None = None) -> dict[str, Any]:
    """The OpenAPI document of an app."""
    app = create_app(
        metrics=Metrics(), health=dict, records=NoRecords() if records else None, receivers=receivers, api_keys=["k"]
    )
    return app.openapi()


def test_a_process_shows_what_its_roles_have() -> None:
    """Without serve no records, without receive no webhooks; health always."""
    everything = {"/healthz", "/readyz", "/metrics", "/webhooks/{system}"} | {
        "/v1/records/{entity}",
        "/v1/records/{entity}/{key}",
    }
    assert set(document(receivers={"stripe": Takes()})["paths"]) == everything
    assert set(document(records=False)["paths"]) == {"/healthz", "/readyz", "/metrics"}


def test_records_name_their_key() -> None:
    """The document says that records need a key, and that health does not."""
    paths = document()["paths"]
    assert paths["/v1/records/{entity}"]["get"]["security"]
    assert "security" not in paths["/healthz"]["get"]


def test_the_page_loads_nothing_and_shows_everything() -> None:
    """No script, no address of another host; each operation with its parameters."""
    page = reference_page(document(receivers={"stripe": Takes()}))
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"?(https?:)?//", page)
    for path in ("/v1/records/{entity}/{key}", "/webhooks/{system}", "/metrics"):
        assert path in page
    assert "<code>Idempotency-Key</code>" in page
    assert "Authorization: Bearer KEY" in page
    assert "X-API-Key: KEY" in page


def test_the_page_escapes_what_it_shows() -> None:
    """Text of the document cannot become markup."""
    info = {"title": "<b>", "version": "1", "description": "<script>"}
    operation = {"tags": ["<i>"], "description": "<u>", "responses": {"200": {"description": "<em>"}}}
    page = reference_page({"info": info, "paths": {"/<p>": {"get": operation}}})
    for tag in ("<script>", "<b></b>", "<i>", "<u>", "<em>", "/<p>"):
        assert tag not in page
