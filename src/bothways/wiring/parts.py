"""The parts of one installation: each is made when it is first asked for, and closed at the end, last made first.

Reads top-down: what a part needs stands above it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from bothways.config import Settings
from bothways.connectors.postgres import setup as postgres_setup
from bothways.connectors.postgres.catalogue import PostgresCatalogue, random_id
from bothways.connectors.postgres.records import PostgresRecords
from bothways.connectors.postgres.store import Limits
from bothways.eventlog import open_log
from bothways.flow.context import Context
from bothways.flow.routes import Routes
from bothways.ports import Transaction
from bothways.state.pace import SharedPace
from bothways.state.people import Letters, People
from bothways.wiring.accounts import remember_account
from bothways.wiring.address import Wanted
from bothways.wiring.fitting import Fitted, fit, table_maps
from bothways.wiring.kinds import Connected, kinds
from bothways.wiring.topics import event_topics

if TYPE_CHECKING:
    from bothways.eventlog.kafka import KafkaLog
    from bothways.eventlog.sqlite import SqliteLog

OpenedLog: TypeAlias = "SqliteLog | KafkaLog"
Part = TypeVar("Part")

ROW_LOCK_SECONDS = 0.2
"""So long delivery waits for a row at a time: while an application keeps many rows locked, others go on."""


class SystemClock:
    """``ports.Clock``: this machine's."""

    def now(self) -> float:
        return time.time()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Parts]:
    """The parts that these settings describe; nothing is opened before it is asked for."""
    async with AsyncExitStack() as closing:
        yield Parts(settings, closing)


class Parts:
    """What the settings describe. Each part is made once."""

    def __init__(self, settings: Settings, closing: AsyncExitStack) -> None:
        self.settings = settings
        self.tables = table_maps(settings)
        self.clock = SystemClock()
        self._closing = closing
        self._made: dict[str, object] = {}

    @property
    def database_url(self) -> str:
        """Where the database is; may hold a password."""
        return self.settings.catalogue.url.get_secret_value()

    async def fitted(self) -> Fitted:
        """The mappings, held against the tables that are there. Raises ``SettingsError`` with all that does not fit."""
        return await self._once("fitted", self._fit)

    async def catalogue(self) -> PostgresCatalogue:
        """The user's database. Raises ``SettingsError`` where ``setup`` has to run first."""
        return await self._once("catalogue", self._open_catalogue)

    async def records(self) -> PostgresRecords:
        """Whole rows, for the API and the command line."""
        return PostgresRecords(await self.catalogue())

    @asynccontextmanager
    async def people(self) -> AsyncIterator[People]:
        """What the state keeps for people, in one transaction."""
        async with (await self.catalogue()).transaction() as transaction:
            yield transaction.people

    @asynccontextmanager
    async def letters(self) -> AsyncIterator[tuple[Transaction, Letters]]:
        """Dead letters, with the transaction that they are in."""
        async with (await self.catalogue()).transaction() as transaction:
            yield transaction, transaction.people.letters

    async def log(self) -> OpenedLog:
        """The topics."""
        return await self._once("log", self._open_log)

    def wanted(self, port: int) -> Wanted:
        """Who serves on this port of the machine, among the processes with this data folder."""
        self.settings.data.mkdir(0o700, parents=True, exist_ok=True)
        wanted = Wanted(self.settings.data / f"http-{port}.lock")
        self._closing.callback(wanted.close)
        return wanted

    async def connected(self) -> Mapping[str, Connected]:
        """The remote systems that entities are mapped to."""
        return await self._once("connected", self._connect)

    async def context(self) -> Context:
        """What delivery works with."""
        return await self._once("context", self._context)

    async def routes(self) -> Routes:
        """Which message is work for whom."""
        context, fitted = await self.context(), await self.fitted()
        tables: dict[str, dict[str, str]] = {}
        for table in self.tables:
            found = fitted.tables[table.entity]
            tables.setdefault(table.topic, {})[f"{found.schema}.{found.name}"] = table.entity
        feeds = {name: system.feed for name, system in (await self.connected()).items()}
        return Routes(context, tables, event_topics(self.settings), feeds)

    # ----------------------------------------------------------------------------------------------- how they are made

    async def _once(self, name: str, make: Callable[[], Awaitable[Part]]) -> Part:
        if name not in self._made:
            self._made[name] = await make()
        return cast(Part, self._made[name])

    async def _fit(self) -> Fitted:
        found = await postgres_setup.inspect(self.database_url, self.tables)
        described = {table.entity: each for table, each in zip(self.tables, found, strict=True)}
        return fit(self.settings, described, kinds())

    async def _open_catalogue(self) -> PostgresCatalogue:
        catalogue = PostgresCatalogue(
            self.database_url,
            self.tables,
            limits=Limits(row_lock=ROW_LOCK_SECONDS),
            by_triggers=self.settings.catalogue.capture == "triggers",
        )
        self._closing.push_async_callback(catalogue.close)
        await catalogue.open()
        return catalogue

    async def _open_log(self) -> OpenedLog:
        options = {name: value.get_secret_value() for name, value in self.settings.log.kafka.items()}
        self.settings.data.mkdir(0o700, parents=True, exist_ok=True)
        log = open_log(self.settings.log.url, options, self.settings.data)
        self._closing.push_async_callback(log.close)
        return log

    async def _connect(self) -> Mapping[str, Connected]:
        catalogue = await self.catalogue()
        installation = await catalogue.installation()
        connected: dict[str, Connected] = {}
        for name, system in self.settings.systems.items():
            entities = self.settings.mapped(name)
            if not entities:
                continue
            objects = [self.settings.entities[entity].remotes[name].object for entity in entities]
            pace = SharedPace(catalogue.store, name, system.rate)
            connected[name] = kinds()[system.kind].connect(
                name, system, objects, pace, installation, partial(remember_account, catalogue, name)
            )
            self._closing.push_async_callback(connected[name].close)
        return connected

    async def _context(self) -> Context:
        catalogue = await self.catalogue()
        return Context(
            catalogue=catalogue,
            remotes={name: system.remote for name, system in (await self.connected()).items()},
            mappings=(await self.fitted()).mappings,
            installation=await catalogue.installation(),
            clock=self.clock,
            new_id=random_id,
            deletions={name: system.max_deletions for name, system in self.settings.systems.items()},
        )
