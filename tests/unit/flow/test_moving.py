"""A changed key whose two halves come in either order."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from bothways.flow.moving import Moving
from bothways.flow.places import Places
from bothways.model.change import Change, Operation, Position
from bothways.model.link import Link
from bothways.model.record import RecordId
from bothways.sync.mapping import EntityMapping, FieldMap
from tests.simulation.database import Table
from tests.unit.flow.parts import RECORD, SYSTEM, Parts

MAPPING = EntityMapping("customer", SYSTEM, "customer", (FieldMap("name", "name"),))
NEW = '{"id":2}'
CHANGE = Change("customer", NEW, Operation.CREATE, None, {}, None, None, Position("here", (7,)), 1000)


async def test_who_waits_for_the_other_half_leaves_its_place_to_others() -> None:
    """With one place: the deletion half needs it, and brings the link that the creation half waits for."""
    here = Parts(MAPPING, Table(("id", "name")))
    moving = Moving(replace(here.context, patience=replace(here.context.patience, other_worker=60.0)), SYSTEM)
    places = Places([SYSTEM], 1)
    place = partial(places.place, SYSTEM)
    arriving = asyncio.create_task(moving.arrive(CHANGE, RECORD.key, NEW, place))
    for _ in range(3):
        async with asyncio.timeout(30), place():
            assert not arriving.done()
    async with here.catalogue.transaction() as tx:
        await tx.links.save(Link(RECORD, SYSTEM, "token", remote_id="cus_1"))
    async with asyncio.timeout(30), place():
        await moving.leave(CHANGE, RECORD.key, NEW)
    await asyncio.wait_for(arriving, 30)
    async with here.catalogue.transaction() as tx:
        moved = await tx.links.lock(RecordId("customer", NEW), SYSTEM)
    assert moved is not None
    assert moved.remote_id == "cus_1"
