"""Turns at the rate that the remote allows."""

from __future__ import annotations

import asyncio

import pytest

from bothways.connectors.stripe.pace import CREDIT_SECONDS, LocalPace


async def take(pace: LocalPace, turns: int) -> float:
    """The seconds that so many turns, asked for all at once, take."""
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(pace.turn() for _ in range(turns)))
    return asyncio.get_running_loop().time() - began


async def test_turns_come_at_the_rate_and_no_faster() -> None:
    """Over any stretch the remote sees at most its rate, and a little credit at the start."""
    rate, turns = 400.0, 280
    seconds = await take(LocalPace(rate), turns)
    assert seconds >= (turns - 1) / rate - CREDIT_SECONDS


async def test_an_idle_time_is_not_saved_up() -> None:
    """After a pause the remote's bucket is full, but no more than a part of a second of it is used at once."""
    pace = LocalPace(200.0)
    await pace.turn()
    await asyncio.sleep(0.6)
    assert await take(pace, 100) >= 100 / 200 - CREDIT_SECONDS - 0.01


async def test_turns_are_given_in_the_order_they_were_asked_for() -> None:
    """Nobody is overtaken."""
    pace = LocalPace(500.0)
    order: list[int] = []

    async def one(number: int) -> None:
        await pace.turn()
        order.append(number)

    await asyncio.gather(*(one(number) for number in range(300)))
    assert order == list(range(300))


async def test_slowing_down_pauses_and_lowers_the_rate() -> None:
    """At once for those who wait already; once for several refusals of one moment."""
    pace = LocalPace(100.0)
    full = pace.rate
    await pace.turn()
    await pace.slow_down(0.2)
    await pace.slow_down(0.1)
    assert pace.rate == pytest.approx(full * 0.7, rel=0.1)
    assert await take(pace, 1) >= 0.19


async def test_a_cancelled_turn_holds_nobody_up() -> None:
    """Who is cancelled while waiting takes no turn away."""
    pace = LocalPace(20.0)
    await take(pace, 9)
    waiting = [asyncio.ensure_future(pace.turn()) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[:-1]:
        task.cancel()
    async with asyncio.timeout(0.5):
        await waiting[-1]


def test_a_rate_is_above_zero() -> None:
    """Else no turn would ever come."""
    with pytest.raises(ValueError, match="above zero"):
        LocalPace(0)
