"""How things stand: for `bothways status`, and as metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bothways.connectors.postgres.capture import PostgresCapture
from bothways.connectors.postgres.outbox_status import OutboxStatus, look_at_outbox
from bothways.connectors.postgres.slot import SlotStatus, look_at_slot
from bothways.connectors.postgres.store import PostgresStore
from bothways.connectors.postgres.threaded import ThreadedCapture
from bothways.connectors.postgres.wholeness import look_at_tables, published, triggered
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
    outbox: OutboxStatus | None
    """Capture reads one of them, as the settings say. Where both are None nothing is captured."""
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
    store = (await parts.catalogue()).store
    by_triggers = parts.settings.catalogue.capture == "triggers"
    slot = None if by_triggers else await look_at_slot(store, parts.settings.slot)
    outbox = await look_at_outbox(store) if by_triggers else None
    cover = triggered if by_triggers else partial(published, name=parts.settings.publication)
    troubles = await look_at_tables(parts.database_url, parts.tables, cover)
    lanes = await lane_statuses(parts)
    return Status(await waiting_by_topic(parts), counts, polls, slot, outbox, troubles, backfills, lanes)


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


def watch_capture(metrics: Metrics, capture: ThreadedCapture) -> None:
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
    metrics.watch(
        "capture_lag_seconds",
        "From the commit of the transaction read last to its reading.",
        [],
        _number(lambda: seen.lag_seconds),
    )


def watch_slot(metrics: Metrics, capture: PostgresCapture) -> None:
    """More of them where the WAL is read."""
    seen = capture.metrics
    metrics.watch("capture_lag_bytes", "WAL that is not acknowledged.", [], _number(lambda: seen.lag_bytes))


def watch_outbox(metrics: Metrics, store: PostgresStore) -> None:
    """More of them where triggers fill an outbox."""

    async def waiting() -> Mapping[tuple[str, ...], float]:
        found = await look_at_outbox(store)
        return {} if found is None else {(): float(found.waiting)}

    async def oldest() -> Mapping[tuple[str, ...], float]:
        found = await look_at_outbox(store)
        if found is None or (found.oldest is not None and found.oldest.seconds is None):
            return {}
        return {(): 0.0 if found.oldest is None else found.oldest.seconds or 0.0}

    metrics.watch(
        "capture_outbox_rows", "Changes in the outbox that are not on the log; counted up to 10,000.", [], waiting
    )
    metrics.watch(
        "capture_oldest_transaction_seconds",
        "Age of the oldest transaction that has written and not ended.",
        [],
        oldest,
    )


def _number(read: Callable[[], float]) -> Callable[[], Mapping[tuple[str, ...], float]]:
    """One number without labels."""
    return lambda: {(): float(read())}


def _polled(state: Value) -> float | None:
    polled = state.get("polled") if isinstance(state, Mapping) else None
    return float(polled) if isinstance(polled, int | float) else None
