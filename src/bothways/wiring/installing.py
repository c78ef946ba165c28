"""``setup`` and ``teardown``: what has to be there before anything runs, and its end."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from bothways.config import Settings
from bothways.connectors.postgres import outbox_setup
from bothways.connectors.postgres import setup as postgres_setup
from bothways.connectors.postgres.handover import Handover
from bothways.flow.poll import begin, gap_flag
from bothways.model.errors import Transient
from bothways.wiring.kinds import kinds
from bothways.wiring.parts import Parts, opened
from bothways.wiring.topics import all_topics


async def set_up(settings: Settings) -> list[str]:
    """Make what is missing; says what was done. Refuses, before anything is made, what cannot work."""
    async with opened(settings) as parts:
        unsure = await _check_keys(settings)
        return [*await set_up_parts(parts), *unsure]


async def _check_keys(settings: Settings) -> list[str]:
    """Raises ``Forbidden`` for a key that is refused; says which could not be tried."""
    unsure = []
    for name, system in settings.systems.items():
        if settings.mapped(name):
            try:
                await kinds()[system.kind].check_key(name, system)
            except Transient as error:
                unsure.append(f"the key of {name} could not be tried: {error}")
    return unsure


async def set_up_parts(parts: Parts, *, narrow: bool = True) -> list[str]:
    """The same for parts that are open. Without ``narrow`` tables that the settings lack go on being captured."""
    settings = parts.settings
    url, tables, slot, publication = parts.database_url, parts.tables, settings.slot, settings.publication
    await parts.fitted()
    by_triggers = settings.catalogue.capture == "triggers"
    if by_triggers:
        await outbox_setup.check(url, tables)
    else:
        await postgres_setup.check(url, tables, slot=slot, publication=publication)
    # The log before the slot: one that nobody can read out keeps the server from throwing WAL away.
    log = await parts.log()
    await log.ensure(all_topics(settings))
    missed = partial(remember_gap, parts, settings.entities)
    handover = Handover(
        url, tables, log, slot=slot, publication=publication, name=settings.log.prefix, form=settings.log.form
    )
    if by_triggers:
        done = await outbox_setup.setup(url, tables, missed=missed, narrow=narrow, slot=slot)
        done += await handover.to_triggers()
    else:
        nothing_missed = await handover.by_triggers()
        done = await postgres_setup.setup(
            url,
            tables,
            slot=slot,
            publication=publication,
            missed=None if nothing_missed else missed,
            narrow=narrow,
        )
        done += await handover.to_log()
    await _begin_polling(parts)
    return done


async def _begin_polling(parts: Parts) -> None:
    """From now on no event is missed, however long it takes until the poller runs for the first time."""
    async with (await parts.catalogue()).transaction() as transaction:
        for system in parts.settings.systems:
            if parts.settings.mapped(system):
                await begin(transaction.checkpoints, system, parts.clock.now())


async def remember_gap(parts: Parts, entities: Collection[str]) -> None:
    """Changes of these entities' rows were missed: until both sides have been compared, the status says so."""
    now = parts.clock.now()
    async with (await parts.catalogue()).transaction() as transaction:
        for system in parts.settings.systems:
            if set(parts.settings.mapped(system)) & set(entities):
                await transaction.checkpoints.store(gap_flag(system), {"from": int(now), "found": now})


async def tear_down(settings: Settings) -> list[str]:
    """Take away what ``setup`` made in the database; topics stay, for others may read them."""
    return await postgres_setup.teardown(
        settings.catalogue.url.get_secret_value(), slot=settings.slot, publication=settings.publication
    )
