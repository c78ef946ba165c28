"""What is wrong with the settings, said so that a person can put it right: where, what, and what to write instead."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bothways.config.lines import Lines
from bothways.model.errors import SettingsError

Place = tuple[str, ...]
"""Key path in the file: ``("entities", "customer", "table")``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that cannot work. Never holds a value that may be a secret."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.place)}: {self.message}"


def refusal(file: Path, lines: Lines, problems: Iterable[Problem]) -> SettingsError:
    """All problems, one a line, each with the line number where it stands, in the order of the file."""
    located = sorted((lines.of(problem.place) or 0, str(problem)) for problem in problems)
    return SettingsError("\n".join(f"{file}:{line}: {text}" if line else f"{file}: {text}" for line, text in located))


def of_validation(error: ValidationError, model: type[BaseModel], raw: Mapping[str, object]) -> list[Problem]:
    """Pydantic's findings in our words. ``raw`` is the tree as written, with ``env:NAME`` for secrets."""
    return [_problem(detail, model, raw) for detail in error.errors(include_url=False, include_input=False)]


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean "table"?`, or what there is, or nothing."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; there is: {', '.join(names)}" if names else ""


_WORDS = {
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "list_type": 'must be a list, as ["…"]',
    "tuple_type": 'must be a list, as ["…"]',
    "dict_type": "must be a table",
    "mapping_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "path_type": "must be the path of a file or folder",
}


def _problem(detail: ErrorDetails, model: type[BaseModel], raw: Mapping[str, object]) -> Problem:
    place = tuple(str(part) for part in detail["loc"] if part != "[key]")
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return Problem(place, "there is no such setting" + suggestion(place[-1], _names(model, place[:-1])))
        case "missing":
            return Problem(place, "is needed" + _example(model, place))
        case "enum" | "literal_error":
            return Problem(place, _choice(str(context["expected"]), _written(raw, place)))
        case "value_error":
            return Problem(place, str(context["error"]))
        case kind:
            return Problem(place, _WORDS.get(kind, detail["msg"]) + _example(model, place))


def _choice(expected: str, written: object) -> str:
    text = f"must be {expected}"
    names = [part.strip("' ") for part in expected.replace(" or ", ",").split(",")]
    close = difflib.get_close_matches(written, names, n=1) if isinstance(written, str) else []
    return f'{text}; did you mean "{close[0]}"?' if close else text


def _written(raw: Mapping[str, object], place: Place) -> object:
    value: object = raw
    for part in place:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _example(model: type[BaseModel], place: Place) -> str:
    """`: rate = 25`, from the field's own example."""
    parent = _model_at(model, place[:-1])
    info = parent.model_fields.get(place[-1]) if parent else None
    return f"; write {place[-1]} = {info.examples[0]}" if info and info.examples else ""


def _names(model: type[BaseModel], place: Place) -> list[str]:
    parent = _model_at(model, place)
    return [info.alias or name for name, info in parent.model_fields.items()] if parent else []


def _model_at(model: type[BaseModel], place: Place) -> type[BaseModel] | None:
    """The model whose fields stand at that place."""
    current: Any = model
    for part in place:
        current = _inner(current, part)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _inner(annotation: Any, part: str) -> Any:
    """The type of the key ``part`` within a value of this type; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if (info.alias or name) == part:
                return _bare(info.annotation)
        extra = get_type_hints(annotation).get("__pydantic_extra__")
        return _inner(_bare(extra), part) if annotation.model_config.get("extra") == "allow" else None
    arguments = get_args(annotation)
    return _bare(arguments[1]) if get_origin(annotation) in (dict, Mapping) and len(arguments) == 2 else None


def _bare(annotation: Any) -> Any:
    """Without ``Annotated`` and ``| None``."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return next((_bare(one) for one in get_args(annotation) if one is not type(None)), None)
    return annotation
