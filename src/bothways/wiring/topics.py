"""Which topics there are, how they are made, and what is read from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bothways.config import Settings
from bothways.ports import Topic


def all_topics(settings: Settings) -> tuple[Topic, ...]:
    """Every topic of this installation.

    An entity's own topic is compacted, so that it holds every record's last state; a shared one is not, since two
    entities may have the same key.
    """
    log = settings.log
    entities = Counter(settings.topic(name) for name in settings.entities)
    catalogue = [
        Topic(
            name,
            compacted=log.compact and count == 1,
            retention_seconds=log.retention,
            partitions=log.partitions,
        )
        for name, count in entities.items()
    ]
    passing = [*event_topics(settings), settings.dead_letter_topic]
    return (
        *catalogue,
        *(Topic(name, retention_seconds=log.retention, partitions=log.partitions) for name in passing),
    )


def event_topics(settings: Settings) -> Mapping[str, tuple[str, str]]:
    """Topic of what a remote reports → (system, entity)."""
    return {
        settings.event_topic(system, name): (system, name)
        for name, entity in settings.entities.items()
        for system in entity.remotes
    }


def topics_by_object(settings: Settings, system: str) -> Mapping[str, Sequence[str]]:
    """Kind of object → topics that its events go to."""
    found: dict[str, list[str]] = {}
    for name in settings.mapped(system):
        kind = settings.entities[name].remotes[system].object
        found.setdefault(kind, []).append(settings.event_topic(system, name))
    return found


def delivery_group(settings: Settings) -> str:
    """The consumer group whose members are the workers that deliver."""
    return f"{settings.log.prefix}.deliver"
