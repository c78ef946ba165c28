"""Trying again: what passes is waited for, what does not is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bothways.flow.calling import Caller
from bothways.flow.pausing import closures
from bothways.flow.steady import Later, Steady
from bothways.model.errors import Busy, CallRefused, FateUnknown, Forbidden, RateLimited, Unavailable
from bothways.model.link import Attempt, Call
from bothways.model.outcome import Direction
from bothways.model.pause import By
from bothways.model.record import RecordId
from bothways.model.values import Values
from bothways.sync.mapping import EntityMapping, FieldMap
from tests.simulation.catalogue import Table
from tests.simulation.remote import FORGOTTEN_AFTER_SECONDS, RemoteFaults, Stored
from tests.unit.flow.parts import RECORD, SYSTEM, Parts

MAPPING = EntityMapping("customer", SYSTEM, "customer", (FieldMap("name", "name"),))


def parts(*, waits_for_key: bool = False) -> Parts:
    """A database and a remote."""
    found = Parts(MAPPING, Table(("id", "name")))
    found.context = replace(found.context, patience=replace(found.context.patience, waits_for_key=waits_for_key))
    return found


class Fails:
    """Raises these errors one after the other, then works."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    async def __call__(self, answer: str = "done") -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return answer


async def test_a_transaction_is_run_until_nobody_is_in_its_way() -> None:
    """Without the database nothing can be done anyway."""
    run = Fails(Busy("deadlock"), Busy("deadlock"), Busy("deadlock"))
    assert await Steady(parts().context, SYSTEM).retried(run, "done") == "done"
    assert run.calls == 4


async def test_only_what_passes_is_tried_again() -> None:
    """A fault of another kind is seen at once."""
    run = Fails(CallRefused("no"))
    with pytest.raises(CallRefused):
        await Steady(parts().context, SYSTEM).retried(run)
    assert run.calls == 1


async def test_a_question_is_asked_again() -> None:
    """No answer, or too many questions."""
    run = Fails(Unavailable("no answer"), RateLimited("slow down", retry_after=0.001))
    assert await Steady(parts().context, SYSTEM).called(run) == "done"


async def test_after_a_while_it_waits_in_the_state() -> None:
    """``Later``: the record is taken up again from there, others go on."""
    here = parts()

    async def never() -> None:
        here.clock.time += 0.02
        raise Unavailable("no answer")

    with pytest.raises(Later):
        await Steady(here.context, SYSTEM).called(never)


async def test_a_refused_key_pauses_the_system_in_the_state_and_blames_no_record() -> None:
    """In both directions, so that every worker sees it; what was to be done is taken up later."""
    here = parts()
    with pytest.raises(Later):
        await Steady(here.context, SYSTEM).called(Fails(Forbidden("the key is revoked")))
    assert {lane: [each.reason for each in found] for lane, found in here.context.closed.items()} == {
        (SYSTEM, Direction.OUT): ["the key is revoked"],
        (SYSTEM, Direction.IN): ["the key is revoked"],
    }
    async with here.catalogue.transaction() as tx:
        assert [each.by for each in await closures(tx.checkpoints, (SYSTEM, Direction.IN))] == [By.KEY]


async def test_a_refused_key_is_waited_for_by_who_has_nobody_else() -> None:
    """However long it takes; it is said why, until a call goes through."""
    here = parts(waits_for_key=True)
    said: list[dict[str, str]] = []

    async def run() -> str:
        said.append(dict(here.context.paused))
        if len(said) < 3:
            here.clock.time += 3600
            raise Forbidden("the key is revoked")
        return "done"

    assert await Steady(here.context, SYSTEM).called(run) == "done"
    assert said == [{}, {SYSTEM: "the key is revoked"}, {SYSTEM: "the key is revoked"}]
    assert here.context.paused == {}


# --------------------------------------------------------------------------------------------------- an attempt's fate


def attempt(call: Call, remote_id: str | None = None, patch: Values | None = None) -> Attempt:
    """One that was written down now."""
    columns = dict(patch or {})
    record = RecordId("customer", RECORD.key)
    return Attempt("key", call, SYSTEM, "customer", remote_id, columns, columns, {}, None, record, 0, at=1000.0)


async def test_an_answer_is_an_outcome_and_a_replay_is_looked_after() -> None:
    """A replayed answer is sure of its effect only: the object is fetched once."""
    here = parts()
    caller = Caller(here.context, SYSTEM)
    create = attempt(Call.CREATE, patch={"name": "Ada"})
    first = await caller.outcome(create, fresh=True)
    assert first is not None
    assert not first.stale
    here.service.change(here.service.things[first.effect.id], {"name": "Eve"}, None)
    again = await caller.outcome(create, fresh=False)
    assert again is not None
    assert again.stale
    assert (again.effect.document["name"], again.current.object.document["name"]) == ("Ada", "Eve")
    assert len(here.service.things) == 1


async def test_a_stored_failure_after_the_effect_took_effect() -> None:
    """The event that names the key tells."""
    here = parts()
    caller = Caller(here.context, SYSTEM)
    here.service.faults = RemoteFaults(stored_after=1.0, latency_seconds=0)
    create = attempt(Call.CREATE, patch={"name": "Ada"})
    with pytest.raises(Unavailable):
        await caller.outcome(create, fresh=True)
    outcome = await caller.outcome(create, fresh=False)
    assert outcome is not None
    assert outcome.effect.document["name"] == "Ada"
    assert len(here.service.things) == 1


async def test_a_stored_failure_before_the_effect_took_none() -> None:
    """No event names the key, and there is no object: decide anew."""
    here = parts()
    caller = Caller(here.context, SYSTEM)
    here.service.faults = RemoteFaults(stored=1.0, latency_seconds=0)
    create = attempt(Call.CREATE, patch={"name": "Ada"})
    with pytest.raises(Unavailable):
        await caller.outcome(create, fresh=True)
    assert await caller.outcome(create, fresh=False) is None


@pytest.mark.parametrize("shown", ["Ada", "Eve"])
async def test_an_update_without_an_event_is_told_by_the_object(shown: str) -> None:
    """It changed nothing, since the object says so already; or it never took effect."""
    here = parts()
    thing = here.service.make("customer", {"name": shown}, None, None)
    update = attempt(Call.UPDATE, thing.id, {"name": "Ada"})
    here.service.keys["key"] = Stored(None, here_now(), "another body")
    with pytest.raises(FateUnknown):
        await here.remote.call(update)
    outcome = await Caller(here.context, SYSTEM).outcome(update, fresh=False)
    assert (outcome is not None) == (shown == "Ada")


async def test_a_key_that_the_remote_may_have_forgotten_is_not_used_again() -> None:
    """With it the call could be made a second time."""
    here = parts()
    caller = Caller(here.context, SYSTEM)
    create = attempt(Call.CREATE, patch={"name": "Ada"})
    await caller.outcome(create, fresh=True)
    here.service.keys.clear()
    here.clock.time += FORGOTTEN_AFTER_SECONDS
    outcome = await caller.outcome(create, fresh=False)
    assert outcome is not None
    assert len(here.service.things) == 1


async def test_a_deletion_that_left_no_trace_is_told_by_the_object() -> None:
    """Gone is gone, whoever did it; alive, it is done again."""
    here = parts()
    thing = here.service.make("customer", {"name": "Ada"}, None, None)
    delete = attempt(Call.DELETE, thing.id)
    here.clock.time += FORGOTTEN_AFTER_SECONDS
    caller = Caller(here.context, SYSTEM)
    assert await caller.outcome(delete, fresh=False) is None
    here.service.remove(thing, None)
    outcome = await caller.outcome(delete, fresh=False)
    assert outcome is not None
    assert outcome.current.object.gone


def here_now() -> float:
    """The remote's clock: the loop's."""
    return asyncio.get_running_loop().time()
