"""Sentry is told what goes wrong, and nothing about anybody."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bothways.config import Settings
from bothways.insight.log import configure
from bothways.model.errors import Busy, SettingsError
from bothways.wiring.reporting import reporting
from tests.servers import sentry
from tests.servers.sentry import Taken
from tests.unit.config.writing import MINIMAL, read

PERSON = "ada@example.com"


@pytest.fixture
def taken() -> Iterator[Taken]:
    """A Sentry."""
    with sentry.running() as server:
        yield server


def settings(folder: Path, dsn: str) -> Settings:
    """Settings that name it by a variable."""
    text = MINIMAL + '[insight]\nsentry_dsn = "env:SENTRY_DSN"\nsentry_environment = "tests"\n'
    return read(folder, text, {"STRIPE_API_KEY": "sk_test_1", "SENTRY_DSN": dsn})


def fail(email: str) -> None:
    """A fault whose message and whose variables quote a person's address."""
    row = {"email": email}
    raise ValueError(f"no place for {row}")


def test_faults_and_dead_letters_are_told_without_values(tmp_path: Path, taken: Taken) -> None:
    """Type, code and record are there; messages, variables, the reason of a letter, and the machine's name are not."""
    said = io.StringIO()
    configure(stream=said)
    log = structlog.get_logger()
    with reporting(settings(tmp_path, taken.dsn)):
        try:
            fail(PERSON)
        except ValueError:
            log.exception("delivery.fault", direction="out", system="stripe", entity="customer", key='{"id":7}')
        letter = {"direction": "in", "system": "stripe", "entity": "customer", "key": "cus_7", "position": "a/0/12"}
        log.warning("letter.new", id=3, reason=f"duplicate ({PERSON})", **letter)
        log.error("role.failed", role="capture", error=f"Busy: {PERSON}", restart_seconds=2.5)
        log.warning("poll.failed", system="stripe", error=PERSON)
        log.info("up", roles=[PERSON])
    assert PERSON in said.getvalue()
    fault, kept, role = taken.events()
    assert [each["message"] for each in (fault, kept, role)] == ["delivery.fault", "letter.new", "role.failed"]
    assert fault["extra"]["key"] == '{"id":7}'
    assert (kept["extra"]["position"], kept["extra"]["id"], kept["level"]) == ("a/0/12", 3, "warning")
    assert role["tags"] == {"event": "role.failed", "role": "capture"}
    (value,) = fault["exception"]["values"]
    assert value["type"] == "ValueError"
    assert [frame["function"] for frame in value["stacktrace"]["frames"]][-1] == "fail"
    assert fault["environment"] == "tests"
    everything = "".join(taken.bodies)
    assert PERSON not in everything
    assert "no place for" not in everything
    assert not fault.get("server_name")
    assert not {"request", "user", "breadcrumbs", "modules"} & {name for name in fault if fault[name]}


def test_what_ends_the_process_is_told_unless_it_was_foreseen(tmp_path: Path, taken: Taken) -> None:
    """An error of ours is for whoever started the command."""
    with pytest.raises(Busy), reporting(settings(tmp_path, taken.dsn)):
        raise Busy(PERSON)
    assert taken.events() == []
    with pytest.raises(ValueError, match=PERSON), reporting(settings(tmp_path, taken.dsn)):
        fail(PERSON)
    (crash,) = taken.events()
    assert (crash["message"], crash["level"]) == ("crashed", "fatal")
    assert PERSON not in "".join(taken.bodies)


def test_what_repeats_is_told_seldom(tmp_path: Path, taken: Taken) -> None:
    """A role that is restarted again and again is one event a minute; another role is another thing."""
    configure(stream=io.StringIO())
    log = structlog.get_logger()
    with reporting(settings(tmp_path, taken.dsn)):
        for role in ("capture", "capture", "deliver", "capture"):
            log.error("role.failed", role=role)
    assert [each["tags"]["role"] for each in taken.events()] == ["capture", "deliver"]


def test_a_sentry_that_is_away_stops_nobody(tmp_path: Path) -> None:
    """Nothing waits for it for long, and nothing fails."""
    configure(stream=io.StringIO())
    with reporting(settings(tmp_path, "http://key@127.0.0.1:1/7")):
        structlog.get_logger().error("role.failed", role="capture")


def test_without_the_package_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a DSN, that is; without one nothing is needed. A DSN that is none is refused without being shown."""
    found = read(tmp_path, MINIMAL)
    named = settings(tmp_path, "https://secretkey@example.com/7")
    broken = settings(tmp_path, "https://secretkey")
    with pytest.raises(SettingsError, match="sentry_dsn") as refused, reporting(broken):
        pass
    assert "secretkey" not in str(refused.value)
    assert "https://secretkey@example.com/7" in named.secrets()

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"sentry-sdk") as missing, reporting(named):
        pass
    assert "bothways[sentry]" in missing.value.hint
    with reporting(found):
        pass
