"""What Stripe is known to refuse, said before anything is sent. What it asks beyond that it says itself."""

from __future__ import annotations

from collections.abc import Mapping

from bothways.connectors.stripe.fields import Field, Kind
from bothways.connectors.stripe.objects import check_path, object_type
from bothways.connectors.stripe.params import write_params
from bothways.model.errors import CallRefused
from bothways.model.link import Call
from bothways.model.values import Value, Values


def refusals(object: str, call: Call, patch: Values) -> Mapping[str, str]:
    """Path → why this value of the patch would be refused."""
    found: dict[str, str] = {}
    for path, value in patch.items():
        try:
            write_params(object_type(object), call, {path: value}, None)
        except CallRefused as refused:
            found[path] = refused.message
            continue
        if reason := _too_long(check_path(object, path), value):
            found[path] = reason
    return found


def _too_long(field: Field, value: Value) -> str | None:
    if field.longest is None:
        return None
    if field.kind in (Kind.TEXT, Kind.METADATA) and isinstance(value, str) and len(value) > field.longest:
        return f"{len(value)} characters, {field.longest} are allowed"
    if field.kind is Kind.LIST and isinstance(value, list | tuple) and len(value) > field.longest:
        return f"{len(value)} entries, {field.longest} are allowed"
    return None
