"""``/docs``: the API's reference as one plain page, made of its OpenAPI document; loads nothing from anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.responses import Response

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}
h2{margin-top:2.5rem}article{border:1px solid #d5dbe3;border-radius:6px;margin:1rem 0;padding:.2rem 1rem 1rem}
h3{font:600 15px ui-monospace,monospace}h3 b{display:inline-block;min-width:4.5rem;color:#0a5fb4}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .8rem .25rem 0;vertical-align:top}
th{font-weight:600;border-bottom:1px solid #d5dbe3}code,pre{font:13px ui-monospace,monospace}
pre{background:#f4f6f9;padding:.6rem;border-radius:4px;overflow:auto}
@media(prefers-color-scheme:dark){body{color:#dfe5ee;background:#12161c}article,th{border-color:#333c48}
pre{background:#1b212a}h3 b{color:#6db3f8}a{color:#6db3f8}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def reference_router(app: FastAPI) -> APIRouter:
    """The route of the page about this app."""
    router = APIRouter()
    page: str | None = None

    async def reference() -> Response:
        nonlocal page
        page = page or reference_page(app.openapi())
        return Response(page, headers={"Content-Security-Policy": _POLICY}, media_type="text/html; charset=utf-8")

    router.add_api_route("/docs", reference, methods=["GET"], include_in_schema=False, response_class=Response)
    return router


def reference_page(document: Mapping[str, Any]) -> str:
    """The page for an OpenAPI 3.1 document, operations grouped by their tags."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["other"])[0]
            groups.setdefault(tag, []).append("".join(_operation(method, path, operation)))
    info = document["info"]
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in groups.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('description', ''))}</p>"
        f'<p>For programs: <a href="openapi.json">openapi.json</a></p>{_keys(document)}{body}</body></html>'
    )


def _keys(document: Mapping[str, Any]) -> str:
    """How a key is sent, where there is something that needs one."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    lines = "".join(f"<li><code>{escape(each.get('description', name))}</code></li>" for name, each in schemes.items())
    return f"<h2>keys</h2><p>What needs a key takes it in either of these ways:</p><ul>{lines}</ul>" if lines else ""


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<article><h3><b>{escape(method.upper())}</b> {escape(path)}</h3>"
    yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
    if operation.get("security"):
        yield "<p>Needs a key, where keys are set (see <i>keys</i> above).</p>"
    if parameters := operation.get("parameters"):
        yield "<table><tr><th>parameter</th><th>in</th><th>meaning</th></tr>"
        for each in parameters:
            needed = "" if each.get("required") else " (optional)"
            yield f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
            yield f"<td>{escape(each.get('description', ''))}{needed}</td></tr>"
        yield "</table>"
    if example := _example(operation.get("requestBody", {})):
        yield f"<p>Body</p><pre>{escape(example)}</pre>"
    yield "<table><tr><th>answer</th><th>meaning</th></tr>"
    for status, answer in operation.get("responses", {}).items():
        yield f"<tr><td><code>{escape(status)}</code></td><td>{escape(answer.get('description', ''))}</td></tr>"
    yield "</table></article>"


def _example(body: Mapping[str, Any]) -> str:
    for media in body.get("content", {}).values():
        if example := media.get("schema", {}).get("example"):
            return json.dumps(example, indent=2)
    return ""
