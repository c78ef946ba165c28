"""`bothways doctor`: every prerequisite of these settings, each by itself. Makes and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bothways.config import Settings, load, locate
from bothways.connectors.postgres import doctor as postgres
from bothways.eventlog import open_log, sqlite_path
from bothways.eventlog.sqlite import doctor as sqlite
from bothways.insight.log import configure
from bothways.model.errors import BothwaysError, SettingsError
from bothways.model.finding import Finding, Grade, fault, ok, warning
from bothways.wiring.kinds import kinds
from bothways.wiring.parts import opened
from bothways.wiring.topics import all_topics


def read(config: Path | None, level: str) -> tuple[Settings | None, Sequence[Finding]]:
    """The settings, if they can be read, and what is to be said of them."""
    configure(level=level)
    try:
        file = locate(config)
        settings = load(file)
    except SettingsError as error:
        return None, _lines("settings", error)
    configure(level=level, secrets=settings.secrets())
    systems = ", ".join(settings.systems) or "no system"
    return settings, [ok("settings", f"{file}: {len(settings.entities)} entities, {systems}"), _http(settings)]


async def examine(settings: Settings) -> Sequence[Finding]:
    """Everything else: the database, how the settings fit it, the log, each system."""
    findings = await _database(settings)
    findings += await _log(settings)
    for name, system in settings.systems.items():
        objects = [settings.entities[entity].remotes[name].object for entity in settings.mapped(name)]
        if not objects:
            findings.append(warning(name, "no entity is mapped to it", f"[entities.NAME.{name}]"))
            continue
        findings += await kinds()[system.kind].examine(name, system, objects)
    return findings


def _http(settings: Settings) -> Finding:
    http = settings.http
    reach = "this machine only" if http.listen.is_loopback else "others, with a key"
    return ok("http", f"listens on {http.listen}, for {reach}")


async def _database(settings: Settings) -> list[Finding]:
    async with opened(settings) as parts:
        findings = await postgres.examine(
            parts.database_url,
            parts.tables,
            slot=settings.slot,
            publication=settings.publication,
            captures_wal=settings.catalogue.capture == "log",
        )
        if any(each.grade is Grade.FAULT and each.what.startswith(("database", "table ")) for each in findings):
            return findings  # what it cannot be held against is said there
        try:
            fitted = await parts.fitted()
        except BothwaysError as error:
            return [*findings, *_lines("mapping", error)]
        return [*findings, ok("mapping", f"{len(fitted.mappings)} mappings fit the tables and the objects")]


async def _log(settings: Settings) -> list[Finding]:
    log = settings.log
    path = sqlite_path(log.url, settings.data)
    if path is not None:
        return sqlite.examine(path)
    options = {name: value.get_secret_value() for name, value in log.kafka.items()}
    try:
        found = open_log(log.url, options, settings.data)
    except BothwaysError as error:
        return [fault("log", error)]
    from bothways.eventlog.kafka import KafkaLog

    assert isinstance(found, KafkaLog), "the other is a file"
    try:
        return [*await found.examine(all_topics(settings))]
    finally:
        await found.close()


def _lines(what: str, error: BothwaysError) -> list[Finding]:
    """One for each line: settings are refused with all that is wrong in them."""
    return [Finding(what, Grade.FAULT, line, error.hint) for line in error.message.splitlines() or [""]]
