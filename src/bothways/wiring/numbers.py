"""How things stand: for `bothways status`, and as metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bothways.connectors.postgres.capture import PostgresCapture
from bothways.connectors.postgres.slot import SlotStatus, look_at_slot
from bothways.connectors.postgres.wholeness import look_at_tables, published
from bothways.flow.course import CourseStatus, courses
from bothways.flow.deliver import Deliver
from bothways.flow.poll import checkpoint, gap_flag
from bothways.insight.metrics import Metrics
from bothways.model.values import Value
from bothways.state.people import Counts
from bothways.wiring.lanes import LaneStatus, lane_statuses
from bothways.wiring.parts import Parts
from bothways.wiring.topics import delivery_group, event_topics


@dataclass(frozen=True, slots=True)
class PollStatus:
    """How far a system's events were read."""

    polled: float | None
    """Unix seconds of the last time that the list was asked for."""
    gap: bool
    """Events were lost: both sides have to be compared as a whole."""


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand."""

    waiting: Mapping[str, int]
    """Topic → messages that delivery has not dealt with."""
    counts: Counts
    polls: Mapping[str, PollStatus]
    """By system."""
    slot: SlotStatus | None
    """None: there is no slot, so nothing is captured."""
    troubles: Mapping[str, str]
    """Entity → what is wrong with its table; nothing of those that are well."""
    backfills: Sequence[CourseStatus]
    """For each entity at each system."""
    lanes: Sequence[LaneStatus]
    """For each system, in each direction."""


async def status_of(parts: Parts) -> Status:
    """Look at the log and the state."""
    async with parts.people() as people:
        counts = await people.counts()
    async with (await parts.catalogue()).transaction() as transaction:
        polls = {}
        for system in parts.settings.systems:
            state = await transaction.checkpoints.load(checkpoint(system))
            gap = await transaction.checkpoints.load(gap_flag(system))
            polls[system] = PollStatus(_polled(state), gap is not None)
        pairs = [(name, system) for name, entity in parts.settings.entities.items() for system in entity.remotes]
        backfills = await courses(transaction.checkpoints, pairs)
    slot = await look_at_slot((await parts.catalogue()).store, parts.settings.slot)
    troubles = await look_at_tables(
        parts.database_url, parts.tables, partial(published, name=parts.settings.publication)
    )
    lanes = await lane_statuses(parts)
    return Status(await waiting_by_topic(parts), counts, polls, slot, troubles, backfills, lanes)


async def waiting_by_topic(parts: Parts) -> Mapping[str, int]:
    """Topic → messages that delivery has not committed."""
    settings = parts.settings
    topics = list(dict.fromkeys([*(settings.topic(name) for name in settings.entities), *event_topics(settings)]))
    lag = await (await parts.log()).lag(delivery_group(settings), topics)
    return {topic: sum(count for (name, _), count in lag.items() if name == topic) for topic in topics}


def watch_delivery(metrics: Metrics, parts: Parts, deliver: Deliver) -> None:
    """The numbers of a process that delivers."""

    async def waiting() -> Mapping[tuple[str, ...], float]:
        return {(topic,): float(count) for topic, count in (await waiting_by_topic(parts)).items()}

    async def backlog() -> Mapping[tuple[str, ...], float]:
        async with parts.people() as people:
            letters, parked = await people.backlog()
        return {("dead letters",): float(letters), ("parked",): float(parked)}

    metrics.watch(
        "delivered",
        "Pieces of work that this process has dealt with.",
        ["direction"],
        lambda: {(direction.value,): float(count) for direction, count in deliver.done_total.items()},
        counts=True,
    )
    metrics.watch(
        "entity_halted",
        "1 while the entity stands still, since a mapped table or column is gone; else 0.",
        ["entity"],
        lambda: {(entity,): float(entity in deliver.halted.reasons) for entity in deliver.halted.entities},
    )
    metrics.watch("delivery_waiting", "Messages that delivery has not dealt with.", ["topic"], waiting)
    metrics.watch("backlog", "Dead letters that are kept, and work that waits in the state.", ["kind"], backlog)


def watch_capture(metrics: Metrics, capture: PostgresCapture) -> None:
    """The numbers of a process that captures."""
    seen = capture.metrics
    counted = {
        "capture_rows": ("Changes of mapped tables that were read.", lambda: seen.rows),
        "capture_messages": ("Messages that capture has put on the log.", lambda: seen.messages),
        "capture_reconnects": ("Connections to the database that were lost and made again.", lambda: seen.reconnects),
    }
    for name, (text, read) in counted.items():
        metrics.watch(name, text, [], _number(read), counts=True)
    metrics.watch(
        "capture_trouble",
        "1 while the entity's table is not as the settings and the publication say; else 0.",
        ["entity"],
        lambda: {(entity,): float(entity in capture.troubles) for entity in capture.entities},
    )
    metrics.watch("capture_lag_bytes", "WAL that is not acknowledged.", [], _number(lambda: seen.lag_bytes))
    metrics.watch(
        "capture_lag_seconds",
        "From the commit of the transaction read last to its reading.",
        [],
        _number(lambda: seen.lag_seconds),
    )


def _number(read: Callable[[], float]) -> Callable[[], Mapping[tuple[str, ...], float]]:
    """One number without labels."""
    return lambda: {(): float(read())}


def _polled(state: Value) -> float | None:
    polled = state.get("polled") if isinstance(state, Mapping) else None
    return float(polled) if isinstance(polled, int | float) else None
