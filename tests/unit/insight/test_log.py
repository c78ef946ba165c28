"""Logs: JSON for programs, lines for people, secrets for nobody."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bothways.insight.hiding import HIDDEN, MIN_SECRET
from bothways.insight.log import configure

SECRET = "verysecretvalue"


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """What was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_events_are_lines_of_json_where_nobody_looks() -> None:
    """A stream that is no terminal gets one document a line, with event, level and time in UTC."""
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger("x").info("role.down", role="capture", seconds=1.5)
    (event,) = lines(stream)
    assert (event["event"], event["level"], event["role"], event["seconds"]) == ("role.down", "info", "capture", 1.5)
    assert str(event["time"]).endswith("Z")


def test_people_get_lines_to_read() -> None:
    """The event comes first and its fields after it; a traceback stands below."""
    stream = io.StringIO()
    configure(stream=stream, as_json=False)
    try:
        int("no number")
    except ValueError:
        structlog.get_logger().exception("x.failed", role="capture")
    said = stream.getvalue()
    assert "x.failed" in said
    assert "role=capture" in said
    assert "Traceback" in said


def test_what_is_below_the_level_is_not_logged() -> None:
    """`--log-level warning` means it, also for libraries."""
    stream = io.StringIO()
    configure(stream=stream, level="warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    logging.getLogger("library").info("quiet")
    assert [event["event"] for event in lines(stream)] == ["loud"]


def test_libraries_speak_the_same_way() -> None:
    """What comes by the standard library's logging is an event like any other, with the library's name, once."""
    stream = io.StringIO()
    configure(stream=io.StringIO())
    configure(stream=stream)
    logging.getLogger("library").warning("it is %s", "late")
    (event,) = lines(stream)
    assert (event["event"], event["logger"], event["level"]) == ("it is late", "library", "warning")


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_are_blotted_out_wherever_they_stand(as_json: bool) -> None:
    """In events, in fields however deep, in errors and tracebacks, in libraries' messages."""
    stream = io.StringIO()
    configure(stream=stream, as_json=as_json, secrets=[SECRET])
    log = structlog.get_logger()
    log.info(f"event {SECRET}", a=SECRET, b=[{"c": (SECRET,)}], d={SECRET}, e=ValueError(SECRET))
    try:
        int(SECRET)
    except ValueError:
        log.exception("x.failed")
    logging.getLogger("library").error("sent %s", SECRET)
    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count(HIDDEN) >= 7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("api_key", "x1"),
        ("webhook_secrets", ["x1"]),
        ("password", "x1"),
        ("headers", {"Authorization": "x1", "Stripe-Signature": "x1"}),
        ("url", "postgresql://app:x1@host/db"),
        ("error", "no such key sk_live_x1 and rk_test_x1 and whsec_x1"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_unasked(field: str, value: object) -> None:
    """By the field's name, or by its form: logins in addresses, Stripe's keys."""
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger().info("x", **{field: value})
    assert "x1" not in stream.getvalue()
    assert HIDDEN in stream.getvalue()


@given(st.text(alphabet='xyz.*+?[(\\\n"é', min_size=MIN_SECRET), st.text(alphabet="ab "), st.text(alphabet="ab "))
def test_no_secret_gets_through(secret: str, before: str, after: str) -> None:
    """Whatever it is made of, only it is blotted out."""
    stream = io.StringIO()
    configure(stream=stream, secrets=[secret])
    structlog.get_logger().info("x", text=f"{before}{secret}{after}")
    (event,) = lines(stream)
    assert event["text"] == f"{before}{HIDDEN}{after}"
