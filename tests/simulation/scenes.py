"""Directed histories for rules that seldom matter, and for what went wrong once.

Each passes with the rule and fails without it.
"""

from __future__ import annotations

from tests.simulation.remote import RemoteFaults
from tests.simulation.schema import INVOICE
from tests.simulation.stage import LATENCY_SECONDS, Stage

QUIET = RemoteFaults(latency_seconds=LATENCY_SECONDS)


async def edit_while_an_answer_is_written(stage: Stage) -> None:
    """Somebody edits another field after the call's effect and long before the answer's ``Date``."""
    record = stage.insert(1)
    await stage.rest(20)
    stage.stripe.script = [(0.1, 6.0, 0.1)]
    stage.update(record, "a", "a2")
    await stage.rest(1)
    stage.edit(stage.thing(record), "d", "d2")
    stage.send()
    await stage.rest(20)


async def edit_before_a_replayed_answer(stage: Stage) -> None:
    """The answer is lost; somebody edits another field; the call is repeated, and its old answer replayed."""
    record = stage.insert(1)
    await stage.rest(20)
    stage.stripe.faults = RemoteFaults(lost=1.0)
    stage.stripe.script = [(0.3, 0.0, 1.0)]
    stage.update(record, "a", "a2")
    await stage.rest(0.8)
    stage.edit(stage.thing(record), "d", "d2")
    stage.send()
    stage.stripe.faults = RemoteFaults(before=1.0)
    await stage.rest(4)
    stage.stripe.faults = QUIET
    await stage.rest(20)


async def call_while_a_picture_is_fetched(stage: Stage) -> None:
    """An ambiguous event is fetched; before the picture arrives, a call of ours changes what it shows."""
    record = stage.insert(1)
    await stage.rest(1)
    thing = stage.thing(record)
    stage.edit(thing, "d", "d2")
    stage.stripe.script = [(0.1, 0.0, 2.0)]
    stage.send()
    await stage.rest(0.5)
    stage.update(record, "a", "a2")
    await stage.rest(20)


async def row_edited_last(stage: Stage) -> None:
    """Two edits that know nothing of each other, the row's the later one, and not captured when the event comes."""
    record = stage.insert(1)
    await stage.rest(20)
    stage.edit(stage.thing(record), "a", "a2")
    await stage.rest(5)
    stage.world.capturing.clear()
    stage.update(record, "a", "a3")
    stage.send()
    await stage.rest(3)
    stage.world.capturing.set()
    await stage.rest(20)


async def object_edited_last(stage: Stage) -> None:
    """The same, the object's edit being the later one."""
    record = stage.insert(1)
    await stage.rest(20)
    stage.world.capturing.clear()
    stage.update(record, "a", "a3")
    await stage.rest(5)
    stage.edit(stage.thing(record), "a", "a2")
    stage.send()
    await stage.rest(3)
    stage.world.capturing.set()
    await stage.rest(20)


async def value_that_is_refused(stage: Stage) -> str | None:
    """The remote refuses a value: one call finds out, and the rest goes on until somebody corrects it."""
    record = stage.insert(1)
    await stage.rest(5)
    stage.update(record, "a", "bad-a2")
    await stage.rest(5)
    stage.update(record, "d", "d2")
    await stage.rest(5)
    if stage.stripe.calls > 3:
        return f"{stage.stripe.calls} calls"
    if (stage.thing(record).document["a"], stage.thing(record).document["metadata"]["d"]) != ("a1", "d2"):
        return f"the rest did not go through: {stage.thing(record)}"
    stage.update(record, "a", "a3")
    await stage.rest(5)
    return None if stage.thing(record).document["a"] == "a3" else "the corrected value did not go through"


async def row_before_what_it_points_to(stage: Stage) -> None:
    """An invoice is ready to go out while its customer's create is under way."""
    stage.stripe.script = [(1.0, 0.0, 1.0)]
    stage.insert(1)
    await stage.rest(0.5)
    stage.insert(2, INVOICE, customer_id=1)
    await stage.rest(20)


async def same_mail_on_both_sides(stage: Stage) -> str | None:
    """A row is inserted whose object is there already, and whose event has not come."""
    stage.make(a="a9", mail="m1@x")
    await stage.rest(5)
    stage.insert(1, mail="m1@x")
    await stage.rest(20)
    return None if len(stage.stripe.things) == 1 else f"there are {len(stage.stripe.things)} objects"


async def row_comes_while_its_object_is_brought_in(stage: Stage) -> str | None:
    """Two objects of two systems with one mail, each inserted as a row at the same time; the mail is unique."""
    other = stage.world.services["salesforce"]
    stage.make(a="a9", mail="m1@x")
    other.make("customer", {"a": "a8", "mail": "m1@x"}, None, None)
    stage.send()
    stage.world.spawn(stage.world._webhook("salesforce", other.events[-1], 0.0))
    await stage.rest(20)
    notes = stage.world.database.notes
    return f"dead letter: {notes}" if any("taken" in str(note) for note in notes) else None


async def key_changed_twice(stage: Stage) -> str | None:
    """While nobody delivers, a key changes twice; then the messages of the last key are read first."""
    record = stage.insert(1)
    await stage.rest(5)
    process = stage.world.processes.pop()
    process.leave()
    process.kill()
    second = stage.move(record, 2)
    await stage.rest(1)
    stage.move(second, 3)
    stage.update(stage.world.people.rows("customer").popitem()[0], "a", "a9")
    await stage.rest(1)
    stage.world.start_process()
    await stage.rest(20)
    return None if len(stage.stripe.things) == 1 else f"there are {len(stage.stripe.things)} objects"


async def kept_row_is_replaced(stage: Stage) -> str | None:
    """The object was deleted, the row stays by policy, and somebody replaces it with the same key."""
    record = stage.insert(1)
    await stage.rest(5)
    stage.stripe.remove(stage.thing(record), None)
    stage.send()
    await stage.rest(5)
    stage.replace(record)
    await stage.rest(20)
    return None if len(stage.stripe.things) == 1 else "the replaced row became a second object"


async def left_alone_and_key_used_again(stage: Stage) -> str | None:
    """A deletion is not propagated, the key is used again, and the object that was left alone is edited."""
    record = stage.insert(1)
    await stage.rest(5)
    thing = stage.thing(record)
    stage.delete(record)
    await stage.rest(5)
    stage.insert(1, a="a7")
    await stage.rest(5)
    stage.edit(thing, "a", "a8")
    stage.send()
    await stage.rest(20)
    rows = stage.world.people.rows("customer")
    return None if len(rows) == 1 else f"there are {len(rows)} rows"


async def points_to_what_is_deleted(stage: Stage) -> str | None:
    """An object comes in that points to one that is deleted: a dead letter for the field, and no end of calls."""
    customer = stage.make(a="a1")
    stage.stripe.remove(customer, None)
    stage.make(INVOICE, t="t1", customer_id=customer.id)
    stage.send()
    await stage.rest(20)
    rows = stage.world.people.rows(INVOICE)
    letters = [str(note) for note in stage.world.database.notes if "deleted" in str(note)]
    if stage.stripe.calls > 10:
        return f"{stage.stripe.calls} calls"
    stage.judged = True
    return None if len(rows) == 1 and len(letters) == 1 else f"{rows} {letters}"


async def picture_points_to_the_unknown(stage: Stage) -> None:
    """An ambiguous event's picture shows a customer that has no row yet."""
    record = stage.insert(1, INVOICE)
    await stage.rest(0.5)
    customer = stage.make(a="a1")
    stage.edit(stage.thing(record), "customer_id", customer.id)
    stage.send()
    await stage.rest(20)


async def adopted_after_it_was_refused(stage: Stage) -> str | None:
    """A row matches an object of another record and is refused; then that object goes, and one of its own comes."""
    first = stage.insert(1, mail="m1@x")
    await stage.rest(5)
    stage.world.database.kinds["row"].pop((first.entity, first.key))  # nobody hears of it yet
    second = stage.insert(2, mail="m1@x")
    await stage.rest(5)
    if not any("linked" in str(note) for note in stage.world.database.notes):
        return "it was not refused"
    stage.stripe.remove(stage.thing(first), None)
    stage.send()
    await stage.rest(5)
    stage.make(a="a9", mail="m1@x")
    stage.send()
    await stage.rest(20)
    stage.judged = True  # nobody was told of the first row's end
    shown = stage.thing(second).document["a"]
    return None if shown == "a2" else f"the object still says {shown}"


async def moved_and_its_key_used_again(stage: Stage) -> str | None:
    """While nobody delivers, a key changes and another row takes the old key: the object goes with its row."""
    record = stage.insert(1)
    await stage.rest(5)
    thing = stage.thing(record)
    process = stage.world.processes.pop()
    process.leave()
    process.kill()
    moved = stage.move(record, 2)
    await stage.rest(1)
    stage.insert(1, a="a7")
    await stage.rest(1)
    stage.world.start_process()
    await stage.rest(20)
    return None if stage.thing(moved).id == thing.id else "the new row took the object"


async def old_event_after_a_newer_one(stage: Stage) -> str | None:
    """The webhook of an edit comes after that of the next one: nothing is asked for it."""
    record = stage.insert(1)
    await stage.rest(5)
    thing = stage.thing(record)
    stage.edit(thing, "a", "first")
    await stage.rest(4)
    stage.edit(thing, "a", "second")
    stage.send()
    await stage.rest(4)
    calls = stage.stripe.calls
    stage.send(-2)
    await stage.rest(4)
    return f"{stage.stripe.calls - calls} calls for an old event" if stage.stripe.calls > calls else None
