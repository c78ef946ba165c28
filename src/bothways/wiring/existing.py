"""Existing records: the backfill and the plan, put together."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog

from bothways.config import Settings
from bothways.config.problems import suggestion
from bothways.connectors.postgres.catalogue import PostgresCatalogue
from bothways.connectors.postgres.counting import row_counts
from bothways.connectors.postgres.tables import TableDescription
from bothways.connectors.stripe.pace import LocalPace
from bothways.flow.backfill import Backfill, in_order
from bothways.flow.context import Patience
from bothways.flow.course import courses
from bothways.flow.plan import PairPlanner, Pairs
from bothways.flow.planned import PairPlan
from bothways.flow.retry import Backoff
from bothways.model.errors import SettingsError
from bothways.model.link import Call
from bothways.model.values import Values
from bothways.state.pace import HEADROOM
from bothways.state.reading import LinkReading, has_state
from bothways.sync.mapping import EntityMapping
from bothways.wiring.accounts import check_account
from bothways.wiring.fitting import Fitted
from bothways.wiring.installing import set_up_parts
from bothways.wiring.kinds import Connected, Kind, kinds
from bothways.wiring.parts import Parts, opened

_log = structlog.get_logger(__name__)

NOBODY = "-"
"""Stands for the id of an installation that is not made yet: no mark names it."""
SHARE_BESIDE_OTHERS = 0.5
"""Of the rate, for a plan that is made where others may be at work."""


# ------------------------------------------------------------------------------------------------------------ backfill


async def prepared(parts: Parts, entity: str | None, system: str | None) -> Backfill:
    """The backfill of everything, or of what is named. Does the setup first: what changes from now on is captured."""
    pairs = chosen(parts.settings, (await parts.fitted()).mappings, entity, system)
    # An `up` with more entities in its settings may be running: its tables must stay captured.
    await set_up_parts(parts, narrow=False)
    counts = await row_counts(await parts.catalogue(), list(dict.fromkeys(name for name, _ in pairs)))
    return Backfill(await parts.context(), pairs, rows=counts)


def chosen(
    settings: Settings, mappings: Mapping[tuple[str, str], EntityMapping], entity: str | None, system: str | None
) -> Sequence[tuple[str, str]]:
    """(entity, system) to work on, what is pointed to first. Raises ``SettingsError`` for names that are none."""
    for name, known in ((entity, settings.entities), (system, settings.systems)):
        if name is not None and name not in known:
            what = "entity" if known is settings.entities else "system"
            raise SettingsError(f'there is no {what} "{name}"{suggestion(name, known)}')
    pairs = [pair for pair in in_order(mappings) if entity in (None, pair[0]) and system in (None, pair[1])]
    if not pairs:
        hint = "[entities.NAME.SYSTEM] maps an entity to an object of a system"
        raise SettingsError("nothing is mapped to a remote system here", hint=hint)
    return pairs


_TOLD = "backfill:told"


async def tell_what_waits(parts: Parts) -> None:
    """Say at the first start that rows which nobody changes wait for a backfill; once for each installation."""
    catalogue = await parts.catalogue()
    pairs = [(name, system) for name, entity in parts.settings.entities.items() for system in entity.remotes]
    async with catalogue.transaction() as transaction:
        told = await transaction.checkpoints.load(_TOLD)
        found = await courses(transaction.checkpoints, pairs)
        await transaction.checkpoints.store(_TOLD, True)
    if told:
        return
    waiting = {each.entity: each.system for each in found if each.began is None}
    for entity, rows in (await row_counts(catalogue, list(waiting))).items():
        if rows:
            hint = "they are sent when they change; `bothways plan`, then `bothways backfill` brings them all now"
            _log.warning("backfill.waits", entity=entity, rows=rows, hint=hint)


# ---------------------------------------------------------------------------------------------------------------- plan


async def plan(settings: Settings, entity: str | None = None, system: str | None = None) -> Sequence[PairPlan]:
    """What a backfill would do now. Needs no setup, and writes nothing anywhere."""
    async with opened(settings) as parts:
        fitted = await parts.fitted()
        pairs = chosen(settings, fitted.mappings, entity, system)
        catalogue = PostgresCatalogue(parts.database_url, parts.tables)
        try:
            return await _planned(settings, catalogue, fitted, pairs)
        finally:
            await catalogue.close()


async def _planned(
    settings: Settings, catalogue: PostgresCatalogue, fitted: Fitted, pairs: Sequence[tuple[str, str]]
) -> Sequence[PairPlan]:
    state = await has_state(catalogue.store)
    if state:
        await catalogue.open()
    installation = await catalogue.installation() if state else NOBODY
    systems = dict.fromkeys(system for _, system in pairs)
    looked_at = catalogue if state else None
    connected = {name: _connected(settings, name, installation, looked_at) for name in systems}
    links = LinkReading(catalogue.store, exists=state)
    known: dict[str, dict[str, Pairs]] = {name: {} for name in systems}
    plans = []
    try:
        for name, system in pairs:
            mapping = fitted.mappings[name, system]
            planner = PairPlanner(
                mapping,
                catalogue,
                connected[system].remote,
                links,
                KnownLimits(kinds()[settings.systems[system].kind], mapping, fitted.tables[name]),
                installation=installation,
                others=known[system],
                backoff=Backoff(Patience().first, Patience().most, random.Random()),
            )
            made = await planner.run()
            made.seconds = made.calls / (settings.systems[system].rate * HEADROOM)
            known[system][name] = planner.pairs
            plans.append(made)
    finally:
        for each in connected.values():
            await each.close()
    return plans


def _connected(settings: Settings, name: str, installation: str, catalogue: PostgresCatalogue | None) -> Connected:
    """The system, at a rate of its own: the shared one would be written down. ``catalogue``: if it has a state."""
    system = settings.systems[name]
    objects = [settings.entities[entity].remotes[name].object for entity in settings.mapped(name)]
    pace = LocalPace(system.rate if catalogue is None else system.rate * SHARE_BESIDE_OTHERS)

    async def admit(account: str | None) -> None:
        if catalogue is not None:
            await check_account(catalogue, name, account)

    return kinds()[system.kind].connect(name, system, objects, pace, installation, admit)


@dataclass(frozen=True, slots=True)
class KnownLimits:
    """``flow.planned.Limits``: the connector's description of the object, the database's of the table."""

    kind: Kind
    mapping: EntityMapping
    table: TableDescription

    def of_call(self, call: Call, patch: Values) -> Mapping[str, str]:
        return self.kind.refusals(self.mapping.object, call, patch)

    def of_row(self, values: Values) -> Mapping[str, str]:
        refused: dict[str, str] = {}
        for name, value in values.items():
            column = self.table.columns[name]
            if value is None and not column.nullable:
                refused[name] = "the column is not null"
            elif isinstance(value, str) and column.length is not None and len(value) > column.length:
                refused[name] = f"{len(value)} characters, the column is {column.type_name}"
        return refused

    def missing(self, values: Values) -> Mapping[str, str]:
        given: Collection[str] = {name for name, value in values.items() if value is not None}
        return {
            column.name: "the column is not null and has no default, and the object has nothing for it"
            for column in self.table.columns.values()
            if not column.nullable and not column.has_default and column.name not in given
        }

    def filled(self) -> Collection[str]:
        return {column.name for column in self.table.columns.values() if column.has_default}
