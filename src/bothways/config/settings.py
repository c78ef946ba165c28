"""The settings as a whole: ``bothways.toml``, its tables in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, SecretStr, field_validator, model_validator

from bothways.config.base import Model
from bothways.config.entities import EntitySettings
from bothways.config.lines import Lines
from bothways.config.problems import Problem, refusal
from bothways.config.systems import SystemSettings
from bothways.config.units import DAY, Address, Duration, Listen
from bothways.eventlog.form import Encoding, Form
from bothways.model.errors import SettingsError

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SLOT = re.compile(r"[a-z0-9_]{1,63}")


class CatalogueSettings(Model):
    """``[catalogue]``: the user's own database."""

    url: SecretStr = Field(
        description="Where the database is.", examples=['"postgresql://app@127.0.0.1/shop"'], min_length=1
    )
    capture: Literal["log", "triggers"] = Field(
        "log", description="How changes are seen: `log` reads the WAL; `triggers` works where that cannot be had."
    )
    slot: str | None = Field(None, description="Name of the replication slot; `bothways_<database>` unless set.")
    publication: str | None = Field(None, description="Name of the publication; the slot's unless set.")

    @field_validator("url")
    @classmethod
    def _is_a_database(cls, value: SecretStr) -> SecretStr:
        scheme, found, _ = value.get_secret_value().partition("://")
        if scheme in ("mysql", "mariadb"):
            raise ValueError(f"{scheme} is not there yet; PostgreSQL is: postgresql://user@host/database")
        if not found or scheme not in ("postgresql", "postgres"):
            raise ValueError("must be a database's address, as postgresql://user@host/database")
        return value

    @field_validator("slot", "publication")
    @classmethod
    def _is_a_plain_name(cls, value: str | None) -> str | None:
        if value is not None and not _SLOT.fullmatch(value):
            raise ValueError("must be up to 63 small letters, digits and underscores")
        return value

    @property
    def database(self) -> str:
        """The database's name, as far as the address says it."""
        return urlsplit(self.url.get_secret_value()).path.strip("/")


def _flat(value: object) -> object:
    """librdkafka's names have dots, which TOML takes for tables: ``security.protocol = "SSL"``."""
    if not isinstance(value, dict):
        return value
    flat: dict[str, object] = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            below = _flat(inner)
            assert isinstance(below, dict)
            flat |= {f"{name}.{key}": each for key, each in below.items()}
        elif isinstance(inner, bool):
            flat[name] = str(inner).lower()
        elif isinstance(inner, int | float):
            flat[name] = str(inner)
        else:
            flat[name] = inner
    return flat


class LogSettings(Model):
    """``[log]``: where the topics lie."""

    url: str = Field("sqlite", description="`kafka://host:port[,host:port]`, `sqlite`, or `sqlite:///PATH`.")
    prefix: str = Field("bothways", description="First part of the topics' names.")
    partitions: int = Field(6, description="Partitions of a topic that `setup` makes.", ge=1, le=10_000)
    retention: Duration = Field(7 * DAY, description="How long the topics keep what is replaced or passing.")
    compact: bool = Field(True, description="Whether an entity's own topic keeps every record's last state.")
    encoding: Encoding = Field(
        Encoding.READABLE,
        description="The form of values: `readable`, or `debezium` for what Debezium writes by default.",
    )
    schemas: bool = Field(
        False, description="Write each key and value with its schema, as sinks of Kafka Connect need it."
    )
    kafka: Annotated[dict[str, SecretStr], BeforeValidator(_flat)] = Field(
        default_factory=dict, description="Anything that librdkafka takes: `security.protocol`, `sasl.mechanisms`, …"
    )

    @field_validator("url")
    @classmethod
    def _is_a_log(cls, value: str) -> str:
        if value == "sqlite" or re.fullmatch(r"kafka://[^/\s]+:\d+(,[^/\s]+:\d+)*", value):
            return value
        if value.startswith("sqlite:///") and len(value) > len("sqlite:///"):
            return value
        raise ValueError('must be "kafka://host:9092", "sqlite" or "sqlite:///PATH"')

    @field_validator("prefix")
    @classmethod
    def _is_a_topic_name(cls, value: str) -> str:
        if not _TOPIC.fullmatch(value):
            raise ValueError("must be letters, digits, dots, underscores and hyphens")
        return value

    @property
    def form(self) -> Form:
        """How changes look on their topics."""
        return Form(self.encoding, self.schemas)

    @model_validator(mode="after")
    def _kafka_options_need_kafka(self) -> LogSettings:
        if self.kafka and not self.url.startswith("kafka:"):
            raise ValueError('has options for Kafka, but no Kafka; write url = "kafka://host:9092"')
        return self


class RetentionSettings(Model):
    """``[retention]``: how long the state keeps what holds values, and nobody needs for the sync."""

    dead_letters: Duration = Field(90 * DAY, description="Dead letters.")
    conflicts: Duration = Field(90 * DAY, description="Conflicts that are settled.")
    requests: Duration = Field(DAY, description="Answers to the API's idempotency keys.")


class InsightSettings(Model):
    """``[insight]``: who else is told what goes wrong."""

    sentry_dsn: SecretStr | None = Field(
        None, description="Where Sentry takes errors; needs the extra `sentry`.", min_length=1
    )
    sentry_environment: str = Field("production", description="The environment that Sentry shows.", min_length=1)


class HttpSettings(Model):
    """``[http]``: the HTTP server of a process."""

    listen: Address = Field(Listen("127.0.0.1", 8000), description="Host and port.", examples=['"127.0.0.1:8000"'])
    api_keys: tuple[SecretStr, ...] = Field(
        (), description="Keys that may use the API; needed as soon as it listens beyond loopback."
    )
    body_limit: int = Field(1_048_576, description="Largest body of a request, in bytes.", ge=1024)

    @field_validator("api_keys")
    @classmethod
    def _none_is_empty(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(not key.get_secret_value() for key in value):
            raise ValueError("has an empty key")
        return value

    @model_validator(mode="after")
    def _others_need_a_key(self) -> HttpSettings:
        if not self.listen.is_loopback and not self.api_keys:
            raise ValueError(
                f"listens on {self.listen}, which others can reach, without a key; "
                'write api_keys = ["env:BOTHWAYS_API_KEY"], or listen = "127.0.0.1:8000"'
            )
        return self


class Settings(Model):
    """Everything that ``bothways.toml`` says. Read it with ``bothways.config.load``."""

    data: Path = Field(Path(".bothways"), description="Folder of the embedded parts, beside the settings.")
    catalogue: CatalogueSettings = Field(description="The user's own database.")
    log: LogSettings = Field(default_factory=LogSettings.model_construct, description="Where the topics lie.")
    retention: RetentionSettings = Field(
        default_factory=RetentionSettings.model_construct, description="How long the state keeps what it holds."
    )
    insight: InsightSettings = Field(
        default_factory=InsightSettings.model_construct, description="Who else is told what goes wrong."
    )
    http: HttpSettings = Field(default_factory=HttpSettings.model_construct, description="The HTTP server.")
    systems: dict[str, SystemSettings] = Field(default_factory=dict, description="The remote systems, by name.")
    entities: dict[str, EntitySettings] = Field(description="The kinds of record that are kept in step.", min_length=1)

    _file: Path = PrivateAttr(default=Path("settings"))
    _lines: Lines = PrivateAttr(default=Lines(""))

    def came_from(self, file: Path, lines: Lines) -> Settings:
        """Remember where this stands, for ``refusal``."""
        self._file, self._lines = file, lines
        return self

    @property
    def folder(self) -> Path:
        """Where the settings stand."""
        return self._file.parent.absolute()

    def refusal(self, problems: Iterable[Problem]) -> SettingsError:
        """The error that says what is wrong, with lines; also of what only the database or the connector can tell."""
        return refusal(self._file, self._lines, problems)

    def secrets(self) -> frozenset[str]:
        """Every secret in here, for whoever has to blot them out."""
        return frozenset(_secrets(self))

    @property
    def slot(self) -> str:
        """Name of the replication slot. Slots belong to a whole server, so the database's name is in it."""
        if self.catalogue.slot:
            return self.catalogue.slot
        return re.sub(r"[^a-z0-9_]+", "_", f"{self.log.prefix}_{self.catalogue.database}".lower())[:63].strip("_")

    @property
    def publication(self) -> str:
        """Name of the publication."""
        return self.catalogue.publication or self.slot

    def topic(self, entity: str) -> str:
        """Topic of an entity's changes."""
        return self.entities[entity].topic or f"{self.log.prefix}.{entity}"

    def event_topic(self, system: str, entity: str) -> str:
        """Topic of what a remote system reports of an entity."""
        return f"{self.log.prefix}.{system}.{entity}"

    @property
    def dead_letter_topic(self) -> str:
        """Topic of what could not be delivered."""
        return f"{self.log.prefix}.deadletter"

    def mapped(self, system: str) -> tuple[str, ...]:
        """The entities that a system takes part in."""
        return tuple(name for name, entity in self.entities.items() if system in entity.remotes)


_OPEN = re.compile(
    r"security\.protocol|sasl\.mechanisms?|client\.id|debug|.*\.(location|ms|bytes|kbytes|messages|max|size|type|level)"
)
"""Kafka's options whose values are words that nobody has to hide. What is not known may be a secret."""


def _secrets(value: object) -> Iterator[str]:
    match value:
        case SecretStr():
            yield from _secrets_of_text(value.get_secret_value())
        case LogSettings():
            yield from _secrets({name: each for name, each in value.kafka.items() if not _OPEN.fullmatch(name)})
        case BaseModel():
            for _, inner in value:
                yield from _secrets(inner)
        case dict():
            for inner in value.values():
                yield from _secrets(inner)
        case tuple():
            for inner in value:
                yield from _secrets(inner)


def _secrets_of_text(text: str) -> Iterator[str]:
    """The text; of an address the password as well, which messages may show alone."""
    yield text
    if "://" not in text:
        return
    parts = urlsplit(text)
    asked = [value for name, value in parse_qsl(parts.query) if "password" in name]
    for password in (parts.password, *asked):
        if password:
            yield password
            yield unquote(password)


def is_name(text: str) -> bool:
    """Whether it can name an entity or a system: it becomes part of topics, addresses and commands."""
    return _NAME.fullmatch(text) is not None


def is_topic(text: str) -> bool:
    """Whether Kafka takes it as the name of a topic."""
    return _TOPIC.fullmatch(text) is not None and text not in (".", "..")
