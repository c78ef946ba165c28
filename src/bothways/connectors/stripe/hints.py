"""Which field a refusal is about, and what to do about it."""

from __future__ import annotations

from bothways.connectors.stripe.fields import Field, Kind, ObjectType
from bothways.connectors.stripe.objects import METADATA_KEYS, check_path
from bothways.model.errors import SettingsError
from bothways.model.values import Value, Values

_BY_CODE = {
    "email_invalid": "write an address of the form name@domain",
    "parameter_invalid_empty": "this cannot be emptied at Stripe: give the row a value",
    "parameter_missing": "Stripe asks for this as well: map a column to it, or give the row a value",
    "parameter_unknown": "this version of Stripe's API has no such field: leave it out of the mapping",
    "parameter_invalid_integer": "a whole number is asked for: map the column with a transform",
    "resource_missing": "it names something that is not in this Stripe account",
    "resource_already_exists": "another object has this id already",
    "tax_id_invalid": "correct the tax id",
    "url_invalid": "write a whole address, beginning with https://",
}
_OTHERWISE = "correct the value, or leave the field out of the mapping"


def dotted(param: str) -> str:
    """Stripe's name of a parameter as our path: ``address[city]`` is ``address.city``; inside a list, the list."""
    parts = param.replace("]", "").split("[")
    path: list[str] = []
    for part in parts:
        if part.isdigit():
            break
        path.append(part)
    return ".".join(path)


def blame(param: str, patch: Values, described: ObjectType | None) -> str | None:
    """The path of the patch that Stripe refused; None if it cannot be told.

    For metadata Stripe names the hash, not the key: then it is the one value there that breaks its limit.
    """
    path = dotted(param)
    if path and (path in patch or not patch):
        return path
    above = [p for p in patch if path.startswith(f"{p}.")]
    if len(above) == 1:
        return above[0]
    below = [p for p in patch if not path or p.startswith(f"{path}.")]
    guilty = [p for p in below if described is not None and _too_long(described, p, patch[p])]
    if len(guilty) == 1:
        return guilty[0]
    return below[0] if path and len(below) == 1 else path or None


def hint_for(code: str, message: str, field: str | None, described: ObjectType | None) -> str:
    """What to do, for people."""
    known = _field(described, field)
    if known is not None and known.longest is not None and _speaks_of_length(code, message):
        unit = "entries" if known.kind is Kind.LIST else "characters"
        return f"Stripe takes at most {known.longest} {unit} here: shorten the value"
    if field == "metadata":
        return f"an object has at most {METADATA_KEYS} metadata keys, with 500 characters each"
    hint = _BY_CODE.get(code, _OTHERWISE)
    return f"{hint}; Stripe wants: {known.note}" if known is not None and known.note else hint


def _speaks_of_length(code: str, message: str) -> bool:
    words = message.lower()
    return "too_long" in code or "too long" in words or "at most" in words or "up to" in words or "maximum" in words


def _too_long(described: ObjectType, path: str, value: Value) -> bool:
    field = _field(described, path)
    return field is not None and field.longest is not None and isinstance(value, str) and len(value) > field.longest


def _field(described: ObjectType | None, path: str | None) -> Field | None:
    if described is None or not path:
        return None
    try:
        return check_path(described.name, path)
    except SettingsError:  # Stripe may name what is no field of ours, such as a member of a list
        return None
