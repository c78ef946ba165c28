"""From a file to settings, or to a list of all that is wrong with it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from bothways.config import checks, references
from bothways.config.lines import Lines
from bothways.config.problems import Problem, of_validation, refusal
from bothways.config.settings import Settings
from bothways.model.errors import SettingsError

FILE = "bothways.toml"
VARIABLE = "BOTHWAYS_CONFIG"


def locate(option: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """Which file holds the settings: ``--config``, else ``BOTHWAYS_CONFIG``, else the working folder's."""
    path = option or Path(environment.get(VARIABLE) or FILE)
    if not path.is_file():
        raise SettingsError(
            f"there are no settings: {path} is not a file",
            hint=f"write {FILE} here, or name another with --config PATH or {VARIABLE}; docs/settings.md shows how",
        )
    return path


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of that file. Raises ``SettingsError`` with every problem, one a line, each with its line number."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        where = f"{path}:{found[1]}" if found else str(path)
        raise SettingsError(f"{where}: this is no TOML: {error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: this is no text in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    lines = Lines(text)
    settings, problems = _settings(tree, path.parent, environment)
    if settings is None or problems:
        raise refusal(path, lines, problems)
    return settings.came_from(path, lines)


def _settings(
    tree: dict[str, object], folder: Path, environment: Mapping[str, str]
) -> tuple[Settings | None, list[Problem]]:
    _name_kinds(tree)
    values, unread = references.resolved(tree, folder, environment)
    problems = [*unread, *checks.of_tree(tree)]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        return None, _without_repeats([*problems, *of_validation(error, Settings, tree)])
    if problems:
        return None, problems
    settings = settings.model_copy(update={"data": (folder / settings.data).absolute()})
    return settings, list(checks.of_settings(settings))


def _name_kinds(tree: Mapping[str, object]) -> None:
    """A system's kind is its name unless it is set."""
    systems = tree.get("systems")
    for name, system in systems.items() if isinstance(systems, dict) else ():
        if isinstance(system, dict):
            system.setdefault("kind", name)


def _without_repeats(problems: Iterable[Problem]) -> list[Problem]:
    """One problem a place: what follows from an earlier one says nothing new."""
    kept: list[Problem] = []
    for problem in problems:
        if not any(problem.place[: len(earlier.place)] == earlier.place for earlier in kept):
            kept.append(problem)
    return kept
