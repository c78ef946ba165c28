"""Values that stand elsewhere: ``env:NAME`` and ``file:PATH``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bothways.config.problems import Place, Problem

Resolve = Callable[[str], str]


def resolved(
    tree: Mapping[str, object], folder: Path, environment: Mapping[str, str]
) -> tuple[dict[str, object], list[Problem]]:
    """The tree with every such text replaced, and what could not be read. ``PATH`` is relative to the folder."""
    problems: list[Problem] = []

    def visit(value: object, place: Place) -> object:
        match value:
            case Mapping():
                return {str(key): visit(inner, (*place, str(key))) for key, inner in value.items()}
            case list():
                return [visit(inner, (*place, str(index))) for index, inner in enumerate(value)]
            case str():
                try:
                    return _read(value, folder, environment)
                except ValueError as error:
                    problems.append(Problem(place, str(error)))
                    return value
        return value

    return {key: visit(value, (key,)) for key, value in tree.items()}, problems


def _read(text: str, folder: Path, environment: Mapping[str, str]) -> str:
    if text.startswith("env:"):
        return _from_environment(text.removeprefix("env:"), environment)
    if text.startswith("file:"):
        return _from_file(text.removeprefix("file:"), folder)
    return text


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "")
    if not value:
        raise ValueError(f"the environment variable {name} is not set; set it: export {name}=…")
    return value


def _from_file(name: str, folder: Path) -> str:
    path = folder / Path(name).expanduser()
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"the file {path} cannot be read: {reason}") from None
    if not value:
        raise ValueError(f"the file {path} is empty")
    return value
