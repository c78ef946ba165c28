"""What delivery works with: the catalogue, the remote systems, and who maps what."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bothways.model.pause import Closure, Lane
from bothways.ports import Catalogue, Clock, Remote, RemoteSearch
from bothways.sync.mapping import EntityMapping

AT_A_TIME = 3


class RemoteSystem(Remote, RemoteSearch, Protocol):
    """A remote that can be called and searched."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long delivery waits for what, in seconds."""

    lease: float = 60.0
    """After this long an attempt that nobody has finished is anybody's."""
    other_worker: float = 3.0
    """So young an attempt of another worker is left to it."""
    retries: float = 45.0
    """So long a call is repeated at once; later it is taken up again from the state."""
    first: float = 0.2
    most: float = 15.0
    key_margin: float = 3600.0
    """So long before the remote may forget a key, the key is no longer relied on."""
    attempt_ends: float = 4.0
    """So long an event waits in memory for a call under way; then it waits in the state."""
    forbidden: float = 30.0
    """How long a system that refuses our key is left alone."""
    waits_for_key: bool = False
    """A refused key is waited for on the spot: nobody else would take the work up."""


@dataclass(frozen=True, slots=True)
class Context:
    """One installation's parts, as delivery sees them."""

    catalogue: Catalogue
    remotes: Mapping[str, RemoteSystem]
    mappings: Mapping[tuple[str, str], EntityMapping]
    """By entity and system."""
    installation: str
    clock: Clock
    new_id: Callable[[], str]
    """Random ids: idempotency keys, tokens."""
    random: random.Random = field(default_factory=random.Random)
    patience: Patience = field(default_factory=Patience)
    deletions: Mapping[str, int] = field(default_factory=dict)
    """System → how many records may be deleted in a minute, in either direction, before somebody is asked."""
    paused: dict[str, str] = field(default_factory=dict)
    """System → why nothing can be sent to it now, for who waits for a key on the spot."""
    closed: dict[Lane, tuple[Closure, ...]] = field(default_factory=dict)
    """What is paused, as this process last saw it in the state."""
    once_more: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_A_TIME))
    """For transactions that found something locked: those that wait for others must not use up the connections."""

    def systems(self, entity: str) -> tuple[str, ...]:
        """The systems that keep this entity."""
        return tuple(system for (known, system) in self.mappings if known == entity)

    def entity(self, system: str, kind: str) -> str | None:
        """The entity that this kind of object stands for."""
        for (entity, known), mapping in self.mappings.items():
            if known == system and mapping.object == kind:
                return entity
        return None
