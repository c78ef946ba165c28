"""Patches as Stripe's parameters, and Stripe's objects as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bothways.connectors.stripe.fields import Field, Kind, ObjectType, Writes
from bothways.connectors.stripe.objects import OURS, check_path
from bothways.model.errors import CallRefused
from bothways.model.link import Call
from bothways.model.record import Mark, RemoteObject
from bothways.model.values import Value, Values
from bothways.sync.mapping import lookup

INSTALLATION = f"{OURS}installation"
LINK = f"{OURS}link"
KEY = f"{OURS}key"

Params = dict[str, Any]
"""Nested, as the SDK takes and encodes them."""


def write_params(described: ObjectType, call: Call, patch: Values, mark: Mark | None) -> Params:
    """The body of a create or update.

    None and an empty list take a value away: '' in an update, left out of a create. Raises ``CallRefused`` for what
    Stripe has no way to say, before anything is sent.
    """
    params: Params = {}
    for path in sorted(patch):
        field = check_path(described.name, path)
        _check_writable(field, call, described)
        value = _encoded(described, field, patch[path], call)
        if value is not None:
            put(params, path, value)
    if call is Call.CREATE and mark is not None:
        metadata = params.setdefault("metadata", {})
        metadata.update({INSTALLATION: mark.installation, LINK: mark.token, KEY: mark.key[:500]})
    return params


def wholes(described: ObjectType, patch: Values) -> tuple[str, ...]:
    """The hashes that this update touches by a member, and that Stripe takes only as a whole."""
    return tuple(root for root in described.whole if any(path.startswith(f"{root}.") for path in patch))


def completed(described: ObjectType, patch: Values, document: Values) -> Values:
    """The patch with the other members of such hashes as the object shows them; an empty hash is taken away."""
    whole = dict(patch)
    for root in wholes(described, patch):
        members = {f.path: patch.get(f.path, lookup(document, f.path)) for f in described.members(root)}
        filled = {path: value for path, value in members.items() if value not in (None, "")}
        if filled:
            whole.update(filled)
        else:
            whole = {path: value for path, value in whole.items() if path not in members} | {root: None}
    return whole


def put(params: Params, path: str, value: object) -> None:
    """Set a nested parameter by its dotted path."""
    *parents, name = path.split(".")
    for parent in parents:
        inner = params.get(parent)
        if not isinstance(inner, dict):  # the whole hash was emptied by another path: the member wins
            inner = params[parent] = {}
        params = inner
    params[name] = value


def read_object(document: Mapping[str, Value], described: ObjectType) -> RemoteObject:
    """An object as Stripe shows it; archived by us counts as gone. Raises ``ValueError`` for what is no object."""
    object_id = document.get("id")
    if not isinstance(object_id, str) or not object_id:
        raise ValueError("an object without an id")
    mark = read_mark(document)
    if document.get("deleted") is True or _is_archived(document, described):
        return RemoteObject(object_id, gone=True, mark=mark)
    return RemoteObject(object_id, document=document, mark=mark)


def read_mark(document: Mapping[str, Value]) -> Mark | None:
    """The mark that one of our creates left; None without one, or where somebody has taken a part of it away."""
    installation = lookup(document, f"metadata.{INSTALLATION}")
    token = lookup(document, f"metadata.{LINK}")
    key = lookup(document, f"metadata.{KEY}")
    if isinstance(installation, str) and isinstance(token, str) and isinstance(key, str):
        return Mark(installation, token, key)
    return None


def archive_params(described: ObjectType) -> Params:
    """The body of the update that stands for a deletion Stripe refuses."""
    assert described.archive is not None
    params: Params = {}
    for path, value in described.archive.sets.items():
        put(params, path, value)
    put(params, f"metadata.{described.archive.mark}", "true")
    return params


def _is_archived(document: Mapping[str, Value], described: ObjectType) -> bool:
    """By us: people's own archived objects are alive. One that they take out of the archive is alive again."""
    archive = described.archive
    if archive is None or lookup(document, f"metadata.{archive.mark}") != "true":
        return False
    return all(lookup(document, path) == value for path, value in archive.sets.items())


def _check_writable(field: Field, call: Call, described: ObjectType) -> None:
    if field.writes is Writes.ALWAYS or field.writes.value == call.value:
        return
    when = {Writes.CREATE: "only when it is created", Writes.UPDATE: "only after it was created"}.get(field.writes)
    reason = f"{field.path} of a {described.name} can be set {when}" if when else f"{field.path} cannot be set"
    raise CallRefused(f"Stripe: {reason}", field=field.path, hint='map it with direction = "in", or not at all')


def _encoded(described: ObjectType, field: Field, value: Value, call: Call) -> object:
    """The parameter's value; None leaves it out."""
    if field.kind is Kind.HASH and isinstance(value, Mapping) and value:
        return _hash(described, field, value, call)
    if value is None or (isinstance(value, list | tuple | Mapping) and not value):
        if call is Call.CREATE:
            return None
        if not field.unsets:
            raise CallRefused(
                f"Stripe: {field.path} of a {described.name} cannot be emptied",
                field=field.path,
                hint="give the row a value, or make the column not null",
            )
        return ""
    return value


def _hash(described: ObjectType, field: Field, value: Mapping[str, Value], call: Call) -> object:
    """A whole hash from one column: members of it that the value does not name are taken away."""
    whole: Params = {}
    for member in described.members(field.path):
        inner = lookup(value, member.path.removeprefix(f"{field.path}."))
        if inner is not None:
            put(whole, member.path.removeprefix(f"{field.path}."), inner)
        elif call is Call.UPDATE and member.unsets and field.path not in described.whole:
            put(whole, member.path.removeprefix(f"{field.path}."), "")
    return whole or (None if call is Call.CREATE else "")
