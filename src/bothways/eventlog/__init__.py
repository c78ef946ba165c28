"""Topics of keyed messages: Kafka, or SQLite on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bothways.eventlog.sqlite import SqliteLog
from bothways.model.errors import SettingsError

if TYPE_CHECKING:
    from bothways.eventlog.kafka import KafkaLog

_FORMS = "write kafka://HOST:PORT[,HOST:PORT], sqlite, or sqlite:///PATH"


def open_log(url: str, options: Mapping[str, str], folder: Path) -> SqliteLog | KafkaLog:
    """The log that the settings name.

    ``kafka://host:port[,host:port]`` with librdkafka's ``options``; ``sqlite`` for a file in the data folder;
    ``sqlite:///PATH`` for another, relative to the working folder (``sqlite:////PATH`` for an absolute one). Raises
    ``SettingsError`` for anything else, ``Unavailable`` when the file cannot be opened. Kafka is not asked here.
    """
    path = sqlite_path(url, folder)
    if path is not None:
        return SqliteLog(path)
    parts = urlsplit(url)
    if parts.scheme == "kafka" and parts.netloc and "@" not in parts.netloc and parts.path in ("", "/"):
        return _kafka(parts.netloc, options)
    raise SettingsError(f"log.url names no log: {_without_login(url)}", hint=_FORMS)


def sqlite_path(url: str, folder: Path) -> Path | None:
    """The file that the settings name; None where they name something else."""
    if url == "sqlite":
        return folder / "log.db"
    parts = urlsplit(url)
    is_file = parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1
    return Path(unquote(parts.path[1:])) if is_file else None


def _kafka(servers: str, options: Mapping[str, str]) -> KafkaLog:
    try:
        from bothways.eventlog.kafka import KafkaLog
    except ModuleNotFoundError as error:
        if error.name != "confluent_kafka":
            raise
        raise SettingsError("a Kafka log needs its client", hint="pip install 'bothways[kafka]'") from error
    return KafkaLog(servers, options)


def _without_login(url: str) -> str:
    """Logins belong into ``[log.kafka]``; one that stands in the address by mistake is not repeated in an error."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://…@{rest.rpartition('@')[2]}" if "@" in rest else url
