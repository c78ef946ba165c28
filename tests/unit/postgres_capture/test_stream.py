"""Frames that come in pieces, and errors of the server."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.connectors.postgres.stream import Frames, server_error


@given(st.lists(st.integers(0, 40), max_size=10), st.lists(st.integers(1, 20), min_size=1, max_size=30))
def test_frames_are_put_together(lengths: list[int], cuts: list[int]) -> None:
    """Nothing is lost or doubled however the pieces fall, and whoever reads gets whole frames."""
    data = b"".join(b"d" + (length + 4).to_bytes(4, "big") + bytes(length) for length in lengths)
    frames, at, turn, found = Frames(), 0, 0, []
    while at < len(data):
        size = cuts[turn % len(cuts)]
        together = frames.add(data[at : at + size])
        at, turn = at + size, turn + 1
        while together is not None:
            length = int.from_bytes(together[1:5], "big") if len(together) >= 5 else len(together)
            if len(together) <= length:
                frames.keep(together)
                break
            found.append(length - 4)
            together = together[1 + length :]
    assert found == lengths


def test_a_large_frame_is_joined_once() -> None:
    """As long as it is not complete, its pieces are only kept."""
    frames = Frames()
    frame = b"d" + (10_004).to_bytes(4, "big") + bytes(10_000)
    frames.keep(frame[:5])
    assert [frames.add(frame[at : at + 1000]) for at in range(5, 9005, 1000)] == [None] * 9
    assert frames.add(frame[9005:] + b"d") == frame + b"d"


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("57P01", psycopg.errors.AdminShutdown),
        ("55006", psycopg.errors.ObjectInUse),
        ("42704", psycopg.errors.UndefinedObject),
        ("ZZ999", psycopg.OperationalError),
    ],
)
def test_the_servers_errors_are_the_drivers(state: str, kind: type[psycopg.Error]) -> None:
    """So that they are handled alike, whether libpq read them or we did."""
    error = server_error(b"SERROR\0C" + state.encode() + b"\0Mno such thing\0\0")
    assert type(error) is kind
    assert "no such thing" in str(error)
