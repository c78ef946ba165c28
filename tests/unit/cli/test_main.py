"""The command line itself: options, errors, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bothways.cli import exits
from bothways.cli.main import main
from bothways.cli.records import read_values
from bothways.cli.up import ROLES, read_roles
from bothways.model.errors import (
    BothwaysError,
    Busy,
    MappingBroken,
    NoSuchRecord,
    SettingsError,
    Unavailable,
    UnknownEntity,
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOTHWAYS_CONFIG", raising=False)


USAGE = [
    (["up", "--only", "viws"], "'viws' is no role; there is: receive, deliver, capture, serve", "bothways up --help"),
    (["up", "--only", "views"], "views is not there yet", "bothways up --help"),
    (["up", "--nope"], "No such option: --nope", "bothways up --help"),
    (["recrds"], "Did you mean 'records'?", "bothways --help"),
    (["records", "get", "customer"], "Missing argument 'KEY'", "bothways records get --help"),
    (["records", "create", "customer"], "no values; write COLUMN=TEXT", "bothways"),
    (["sandbox", "stripe", "--listen", "80"], "must be a host and a port", "bothways sandbox stripe --help"),
    (["status"], "bothways.toml is not a file", "--config PATH or BOTHWAYS_CONFIG"),
]


@pytest.mark.parametrize(("arguments", "says", "hint"), USAGE, ids=[" ".join(case[0]) for case in USAGE])
def test_mistakes_are_a_line_and_a_hint(
    arguments: list[str], says: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing on stdout, one line of error and one of hint on stderr, no traceback."""
    assert main(arguments) == exits.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    error, advice = shown.err.splitlines()
    assert error.startswith("bothways: ")
    assert says in error
    assert advice.startswith("  hint: ")
    assert hint in advice


def test_every_mistake_in_the_settings_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Global options may stand behind the command; problems come one a line."""
    (tmp_path / "mine.toml").write_text('[catalogue]\nurll = "postgresql:///x"\n[entities.a]\ntabel = "a"\n')
    assert main(["status", "--config", "mine.toml"]) == exits.USAGE
    lines = capsys.readouterr().err.splitlines()
    assert 'mine.toml:2: catalogue.urll: there is no such setting; did you mean "url"?' in lines
    assert 'mine.toml:4: entities.a.tabel: there is no such setting; did you mean "table"?' in lines


def test_debug_shows_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The traceback comes before the message, for those who look for a fault; secrets are blotted out of it."""
    name = tmp_path / "sk_test_thisisakey.toml"
    assert main(["status", "--debug", "--config", str(name)]) == exits.USAGE
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "in locate" in said
    assert said.splitlines()[-1].startswith("  hint:")
    assert "thisisakey" not in said


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("x"), exits.USAGE),
        (UnknownEntity("x"), exits.USAGE),
        (NoSuchRecord("x"), exits.MISSING),
        (Busy("x"), exits.NOT_YET),
        (Unavailable("x"), exits.NOT_YET),
        (MappingBroken("x"), exits.FAILED),
        (BothwaysError("x"), exits.FAILED),
    ],
)
def test_exit_codes_say_what_kind_of_error_it_was(error: BothwaysError, code: int) -> None:
    """Scripts tell what may work later from what will not."""
    assert exits.of_error(error) == code


@pytest.mark.parametrize(
    ("only", "roles"),
    [
        (None, ROLES),
        ("capture", ("capture",)),
        (" serve , receive ", ("receive", "serve")),
        ("deliver,deliver", ("deliver",)),
    ],
)
def test_roles_stop_in_the_same_order_however_they_are_named(only: str | None, roles: tuple[str, ...]) -> None:
    """What lets work in stops first."""
    assert read_roles(only) == roles


def test_values_are_text_unless_they_are_said_to_be_json() -> None:
    """`=` takes the text as it is, `:=` reads JSON, `--data` a whole object; what is named later wins."""
    assert read_values(
        ["name=A=B", "zip=007", "age:=36", "tags:=[1]", "city:=null", "e="], '{"name": "x", "n": 1}'
    ) == {
        "name": "A=B",
        "n": 1,
        "zip": "007",
        "age": 36,
        "tags": [1],
        "city": None,
        "e": "",
    }


@pytest.mark.parametrize("bad", ["name", "=x", ":=1", "age:=x", "age:="])
def test_what_is_no_value_is_a_mistake(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before anything is read or written."""
    assert main(["records", "create", "customer", bad]) == exits.USAGE
    assert capsys.readouterr().err


def test_help_is_there_at_once() -> None:
    """Nothing heavy is imported before a command needs it."""
    heavy = "{'pydantic', 'sqlalchemy', 'psycopg', 'stripe', 'fastapi', 'structlog', 'rich.console', 'confluent_kafka'}"
    script = f"import sys, bothways.cli.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
