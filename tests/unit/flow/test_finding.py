"""Which object a row without a link is, asked of the remote and checked against the state."""

from __future__ import annotations

from dataclasses import replace

from bothways.flow.finding import Found, find_remote
from bothways.model.link import Link
from bothways.model.record import Mark, RecordId, Row
from bothways.model.remote import Answer
from bothways.model.values import Value
from bothways.sync.linking import Impossible
from bothways.sync.mapping import EntityMapping, FieldMap
from tests.simulation.catalogue import Table
from tests.simulation.remote import Thing
from tests.unit.flow.parts import RECORD, SYSTEM, Parts

MAPPING = EntityMapping(
    "customer",
    SYSTEM,
    "customer",
    (FieldMap("name", "name"), FieldMap("mail", "mail")),
    id_column="stripe_id",
    match_on=("mail",),
)
OTHER = RecordId("customer", '{"id":2}')
LINK = Link(RECORD, SYSTEM, "token")


def parts(mapping: EntityMapping = MAPPING) -> Parts:
    """A remote and a state with nothing in them."""
    return Parts(mapping, Table(("id", "name", "mail", "stripe_id")))


def thing(here: Parts, mail: Value = "ada@x", mark: Mark | None = None) -> Thing:
    """An object that is there."""
    return here.service.make("customer", {"name": "Ada", "mail": mail}, mark, None)


async def find(here: Parts, **values: Value) -> Found:
    """Ask the remote for the row."""
    row = Row(RECORD.key, {"name": "Ada", "mail": "ada@x", "stripe_id": None, **values})
    return await find_remote(here.context, here.mapping, row)


async def choose(here: Parts, found: Found) -> tuple[Answer | None, Impossible | None]:
    """Check what was found."""
    async with here.catalogue.transaction() as tx:
        return await found.choose(tx, here.context, LINK)


async def known(here: Parts, *links: Link) -> None:
    """What the state holds."""
    async with here.catalogue.transaction() as tx:
        for link in links:
            await tx.links.save(link)


async def test_the_one_match_is_adopted() -> None:
    """By the fields to match on, alive, and nobody else's."""
    here = parts()
    only = thing(here)
    thing(here, "bob@x")
    answer, problem = await choose(here, await find(here))
    assert problem is None
    assert answer is not None
    assert answer.object.id == only.id


async def test_nothing_to_match_by_asks_nothing() -> None:
    """An empty field matches no one, and costs no call."""
    here = parts()
    thing(here, None)
    for nothing in (None, ""):
        assert (await find(here, mail=nothing)).answers == ()
    assert here.service.calls == 0


async def test_several_matches_are_no_match() -> None:
    """Nobody can tell which one it is: a new record."""
    here = parts()
    thing(here)
    thing(here)
    assert await choose(here, await find(here)) == (None, None)


async def test_the_id_that_the_row_holds_comes_before_any_match() -> None:
    """The matching field is not even looked at."""
    here = parts()
    thing(here)
    named = thing(here, "other@x")
    found = await find(here, stripe_id=named.id)
    answer, _ = await choose(here, found)
    assert answer is not None
    assert answer.object.id == named.id
    assert found.named == named.id


async def test_an_id_that_names_nothing_is_for_people() -> None:
    """No new object behind the user's back."""
    here = parts()
    answer, problem = await choose(here, await find(here, stripe_id="cus_typo"))
    assert answer is None
    assert problem is not None
    assert "cus_typo" in problem.reason
    assert problem.hint


async def test_our_own_mark_is_recognised() -> None:
    """A create whose answer was lost for good: it is this link's, whatever else matches."""
    here = parts()
    thing(here)
    ours = thing(here, mark=Mark("here", "token", RECORD.key))
    answer, _ = await choose(here, await find(here))
    assert answer is not None
    assert answer.object.id == ours.id


async def test_another_installations_mark_means_nothing() -> None:
    """A copied database must not take its model's objects for its own by the mark; a match is a match."""
    here = parts()
    foreign = thing(here, mark=Mark("elsewhere", "token", RECORD.key))
    answer, _ = await choose(here, await find(here))
    assert answer is not None
    assert answer.object.id == foreign.id


async def test_an_object_that_is_linked_already_is_for_people() -> None:
    """Two rows that match one object: the letter names both."""
    here = parts()
    taken = thing(here)
    await known(here, Link(OTHER, SYSTEM, "other", remote_id=taken.id))
    answer, problem = await choose(here, await find(here))
    assert answer is None
    assert problem is not None
    assert str(OTHER) in problem.reason
    assert taken.id in problem.reason


async def test_an_object_that_is_being_made_for_another_row_is_that_ones() -> None:
    """Its mark names that row's link, whose create is not settled yet."""
    here = parts()
    thing(here, mark=Mark("here", "other", OTHER.key))
    await known(here, Link(OTHER, SYSTEM, "other"))
    answer, problem = await choose(here, await find(here))
    assert answer is None
    assert problem is not None


async def test_a_free_match_is_taken_beside_one_that_is_not() -> None:
    """What belongs to others does not count."""
    here = parts()
    taken, free = thing(here), thing(here)
    await known(here, Link(OTHER, SYSTEM, "other", remote_id=taken.id))
    answer, _ = await choose(here, await find(here))
    assert answer is not None
    assert answer.object.id == free.id


async def test_what_is_gone_for_good_is_never_adopted() -> None:
    """A deleted pair's object may live on at the remote, where deletions are not propagated."""
    here = parts()
    old = thing(here)
    async with here.catalogue.transaction() as tx:
        await tx.index.retire(SYSTEM, "customer", old.id)
    assert await choose(here, await find(here)) == (None, None)


async def test_an_object_that_another_row_names_is_that_rows() -> None:
    """It will be linked as soon as it is looked at."""
    here = parts()
    named = thing(here)
    await here.insert(id=2, name="Bob", mail="bob@x", stripe_id=named.id)
    answer, problem = await choose(here, await find(here))
    assert answer is None
    assert problem is not None
    without = parts(replace(MAPPING, id_column=None))
    thing(without)
    answer, _ = await choose(without, await find(without))
    assert answer is not None
