"""What can be written of each kind of object, in words that a form can be made of."""

from __future__ import annotations

from collections.abc import Mapping

from bothways.sandbox.stripe.fields import (
    Array,
    Boolean,
    Choice,
    Field,
    Hash,
    Integer,
    Metadata,
    Number,
    Reference,
    Text,
)
from bothways.sandbox.stripe.objects import Description
from bothways.sandbox.stripe.words import Document, Json

FIRST = ("name", "url", "product", "currency", "unit_amount", "email", "phone", "description", "active", "address")
"""What people look for comes first, in this order; the rest can be unfolded."""
LONG = ("description", "footer")
"""Text that is written in sentences gets several lines."""


def form(kind: Description) -> Document:
    """The fields for an edit and for a creation, those first that people look for."""
    return {
        "object": kind.object,
        "noun": kind.noun,
        "deletable": kind.deletable,
        "update": _fields(kind.update, kind.required),
        "create": _fields(kind.create, kind.required),
    }


def _fields(fields: Mapping[str, Field], required: tuple[str, ...]) -> list[Json]:
    inputs: list[Json] = []
    for name in sorted(fields, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        found = _input(name, fields[name])
        if found is not None:
            first = name in FIRST or name in required or name == "metadata"
            inputs.append({"name": name, "first": first, "required": name in required, **found})
    return inputs


def _input(name: str, field: Field) -> Document | None:
    """How a field is filled in; None for what no form here can (Stripe's dashboard has pages of their own for it)."""
    match field:
        case Text():
            return {"kind": "long" if name in LONG else "text", "most": field.most}
        case Integer():
            return {"kind": "whole", "least": field.least, "most": field.most}
        case Number():
            return {"kind": "number"}
        case Boolean():
            return {"kind": "choice", "words": ["true", "false"]}
        case Choice():
            return {"kind": "choice", "words": list(field.words)}
        case Reference() if field.object:
            return {"kind": "text", "most": 255}
        case Array() if isinstance(field.item, Text):
            return {"kind": "lines", "most": field.most}
        case Metadata():
            return {"kind": "metadata", "most": field.most_keys, "key": field.most_key, "value": field.most_value}
        case Hash():
            return {"kind": "hash", "whole": not field.merges, "fields": _fields(field.fields, field.required)}
        case _:
            return None
