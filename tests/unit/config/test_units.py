"""Values with units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.config.units import SECONDS, Listen, parse_duration, parse_listen, parse_rate

counts = st.integers(min_value=1, max_value=10**6)


@given(
    st.lists(st.tuples(counts, st.sampled_from(sorted(SECONDS))), min_size=1, max_size=4), st.sampled_from(["", " "])
)
def test_durations_are_the_sum_of_their_parts(parts: list[tuple[int, str]], gap: str) -> None:
    """However many parts there are, and whether or not they are spaced, the seconds add up."""
    text = gap.join(f"{count}{gap}{unit}" for count, unit in parts)
    assert parse_duration(text) == pytest.approx(sum(count * SECONDS[unit] for count, unit in parts))


@given(st.floats(min_value=0.001, max_value=1e9))
def test_bare_numbers_are_seconds(seconds: float) -> None:
    """A number counts seconds, as a number or as text."""
    assert parse_duration(seconds) == seconds
    assert parse_duration(f"{seconds:f}") == pytest.approx(seconds, abs=1e-6)


@given(st.text())
def test_no_text_makes_a_duration_that_is_none(text: str) -> None:
    """Any text is a duration longer than nothing, or is refused with a ValueError."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 < seconds < float("inf")


@pytest.mark.parametrize("value", ["", "s", "10", "m10", "10x", "-5s", "0s", "1h-3m", 0, -1, True, None, [], "1e3"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    """Nothing else counts; `10` does, as seconds."""
    if value == "10":
        assert parse_duration(value) == 10
        return
    with pytest.raises(ValueError, match="must be"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "rate"), [(25, 25), ("25", 25), ("25/s", 25), ("600/m", 10), ("3600 / h", 1), (0.5, 0.5)]
)
def test_rates_are_calls_a_second(value: object, rate: float) -> None:
    """A bare number counts calls a second; others name their unit."""
    assert parse_rate(value) == rate


@pytest.mark.parametrize("value", [0, -1, "x", "25/d", True, None, "inf", "nan"])
def test_what_is_no_rate_is_refused(value: object) -> None:
    """A rate of nothing would stop everything, silently."""
    with pytest.raises(ValueError, match="calls a second"):
        parse_rate(value)


@pytest.mark.parametrize(
    ("text", "listen", "loopback"),
    [
        ("127.0.0.1:8000", Listen("127.0.0.1", 8000), True),
        ("localhost:1", Listen("localhost", 1), True),
        ("[::1]:80", Listen("::1", 80), True),
        ("0.0.0.0:8000", Listen("0.0.0.0", 8000), False),
        ("[::]:8000", Listen("::", 8000), False),
        ("example.org:443", Listen("example.org", 443), False),
    ],
)
def test_addresses(text: str, listen: Listen, loopback: bool) -> None:
    """Host and port are told apart, also for IPv6, and printed as they were written."""
    assert parse_listen(text) == listen
    assert str(listen) == text
    assert listen.is_loopback is loopback


@pytest.mark.parametrize("value", ["8000", "host:", ":80", "host:99999", "::1:80", 8000, "a b:80"])
def test_what_is_no_address_is_refused(value: object) -> None:
    """Without host or port nobody would know where it listens."""
    with pytest.raises(ValueError, match="a host and a port"):
        parse_listen(value)
