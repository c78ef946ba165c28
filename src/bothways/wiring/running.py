"""The roles of one process, put together and run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from bothways.api.app import create_app
from bothways.api.health import Health, Pauses
from bothways.api.probe import Probe
from bothways.api.requests import Limits
from bothways.api.server import HttpServer
from bothways.config import Settings
from bothways.config.units import Listen, parse_listen
from bothways.connectors.postgres.capture import PostgresCapture
from bothways.connectors.postgres.trigger_capture import PostgresTriggerCapture
from bothways.flow.deliver import Deliver
from bothways.flow.letters import DeadLetters
from bothways.flow.oversized import LogOrState
from bothways.flow.poll import Poller, Recent
from bothways.flow.receive import WebhookReceiver
from bothways.flow.supervise import CLEAN, Supervisor
from bothways.insight.metrics import Metrics
from bothways.model.errors import SettingsError, Transient
from bothways.ports import Records, Role
from bothways.state.cleanup import Cleanup, rules
from bothways.wiring.address import HealthOnly, take
from bothways.wiring.existing import tell_what_waits
from bothways.wiring.installing import remember_gap, set_up_parts
from bothways.wiring.lanes import in_words, watch_lanes
from bothways.wiring.numbers import watch_capture, watch_delivery, watch_outbox, watch_slot
from bothways.wiring.parts import Parts, opened
from bothways.wiring.patience import Patience
from bothways.wiring.reporting import reporting
from bothways.wiring.topics import delivery_group, event_topics, topics_by_object

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Assembly:
    """What the roles of this process add up to."""

    metrics: Metrics = field(default_factory=Metrics)
    roles: list[Role] = field(default_factory=list)
    """In the order in which they stop."""
    receivers: dict[str, WebhookReceiver] = field(default_factory=dict)
    records: Records | None = None
    probes: dict[str, Probe] = field(default_factory=dict)
    pauses: Pauses = dict
    """What is paused, where this process delivers."""

    def receiving(self) -> Mapping[str, str | None]:
        """Whether the last webhook of each system could be kept."""
        return {f"webhooks of {name}": receiver.ready() for name, receiver in self.receivers.items()}


async def run_roles(settings: Settings, names: Sequence[str], listen: str | None) -> int:
    """Set up, then run these roles until a signal; returns the exit code.

    What does not answer, or is cut off meanwhile, is waited for: the set-up is made anew until it is done.
    """
    with reporting(settings):
        return await _run(settings, names, listen)


async def _run(settings: Settings, names: Sequence[str], listen: str | None) -> int:
    patience = Patience()
    while True:
        async with opened(settings) as parts:
            try:
                supervisor = await _assemble(parts, names, listen)
            except Transient as error:
                trouble = error
            else:
                return await supervisor.run()
        if await patience.stopped(trouble):
            return CLEAN


async def _assemble(parts: Parts, names: Sequence[str], listen: str | None) -> Supervisor:
    """Set up, and put these roles together. Raises ``Transient`` where something does not answer yet."""
    for line in await set_up_parts(parts):
        _log.info("setup.done", what=line)
    await tell_what_waits(parts)
    assembly = Assembly()
    for name in names:
        await ROLES[name](parts, assembly)
    supervisor: Supervisor | None = None

    def health() -> Mapping[str, str | None]:
        return {**supervisor.ready(), **assembly.receiving()} if supervisor else {}

    supervisor = Supervisor([*assembly.roles, await _server(parts, assembly, listen, health)])
    _log.info("up", roles=list(names), slot=parts.settings.slot, log=parts.settings.log.url)
    return supervisor


async def _receive(parts: Parts, assembly: Assembly) -> None:
    """Webhooks, and the poller for what they missed."""
    catalogue, entities = await parts.catalogue(), event_topics(parts.settings)
    for name, system in (await parts.connected()).items():
        topics, recent = topics_by_object(parts.settings, name), Recent()
        own = {topic: entity for topic, (of, entity) in entities.items() if of == name}
        log = LogOrState(await parts.log(), catalogue, parts.clock, system.feed, name, own)
        interval = parts.settings.systems[name].poll
        assembly.receivers[name] = WebhookReceiver(system.verify, log, topics, appended=recent.add)
        assembly.roles.append(
            Poller(
                system.feed, catalogue, log, parts.clock, system=name, topics=topics, interval=interval, recent=recent
            )
        )


async def _deliver(parts: Parts, assembly: Assembly) -> None:
    """Both directions, dead letters, and the state's housekeeping."""
    log, routes = await parts.log(), await parts.routes()
    deliver = Deliver(await parts.context(), log, routes, group=delivery_group(parts.settings))
    letters = DeadLetters(parts.letters, log, parts.clock, routes.feeds, topic=parts.settings.dead_letter_topic)
    kept = parts.settings.retention
    cleanup = rules(dead_letters=kept.dead_letters, conflicts=kept.conflicts, requests=kept.requests)
    assembly.roles += [deliver, deliver.halted, letters, Cleanup((await parts.catalogue()).store, cleanup)]
    watch_delivery(assembly.metrics, parts, deliver)
    watch_lanes(assembly.metrics, deliver)
    assembly.pauses = lambda: in_words(deliver.paused())


async def _capture(parts: Parts, assembly: Assembly) -> None:
    """The database's changes."""
    settings = parts.settings
    url, tables, log = parts.database_url, parts.tables, await parts.log()
    name, form, missed = settings.log.prefix, settings.log.form, partial(remember_gap, parts)
    capture: PostgresCapture | PostgresTriggerCapture
    if settings.catalogue.capture == "triggers":
        fence = f"capture by {settings.slot}"
        capture = PostgresTriggerCapture(url, tables, log, name=name, form=form, missed=missed, fence=fence)
        watch_outbox(assembly.metrics, (await parts.catalogue()).store)
    else:
        slot, publication = settings.slot, settings.publication
        capture = PostgresCapture(
            url, tables, log, slot=slot, publication=publication, name=name, form=form, missed=missed
        )
        watch_slot(assembly.metrics, capture)
    assembly.roles.append(capture)
    watch_capture(assembly.metrics, capture)


async def _serve(parts: Parts, assembly: Assembly) -> None:
    """The HTTP API."""
    assembly.records = await parts.records()
    assembly.probes["records"] = Probe((await parts.catalogue()).check)


ROLES: Mapping[str, Callable[[Parts, Assembly], Awaitable[None]]] = {
    "receive": _receive,
    "deliver": _deliver,
    "capture": _capture,
    "serve": _serve,
}


async def _server(parts: Parts, assembly: Assembly, listen: str | None, health: Health) -> Role:
    """The process's HTTP server. Where the process serves on its address, that is taken now, or refused."""
    http = parts.settings.http
    where = _address(listen) if listen else http.listen
    keys = [key.get_secret_value() for key in http.api_keys]
    if assembly.records is not None and not where.is_loopback and not keys:
        raise SettingsError(
            f"--listen {where}: others can reach that, and there is no key", hint="set api_keys in [http]"
        )
    app = create_app(
        metrics=assembly.metrics,
        health=health,
        probes=assembly.probes,
        pauses=assembly.pauses,
        records=assembly.records,
        receivers=assembly.receivers,
        api_keys=keys,
        limits=Limits(body_bytes=http.body_limit),
    )
    server = HttpServer(app, where.host, where.port)
    wanted = parts.wanted(where.port)
    if not listen and assembly.records is None and not assembly.receivers:
        return HealthOnly(server, wanted)
    await take(server, wanted)
    return server


def _address(listen: str) -> Listen:
    try:
        return parse_listen(listen)
    except ValueError as error:
        raise SettingsError(f"--listen {error}") from None
