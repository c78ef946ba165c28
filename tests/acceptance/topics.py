"""What stands on an installation's topics, as any other program reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from bothways.eventlog import open_log
from bothways.eventlog.kafka import KafkaLog
from bothways.eventlog.sqlite import SqliteLog
from bothways.ports import Delivered, Partition

if TYPE_CHECKING:
    from tests.acceptance.installation import Installation

R = TypeVar("R")


def names(installation: Installation) -> Sequence[str]:
    """Every topic of the settings."""
    prefix = installation.prefix
    entities = [f"{prefix}.changes", f"{prefix}.product", f"{prefix}.stripe.customer", f"{prefix}.stripe.product"]
    return [*entities, f"{prefix}.deadletter"]


def ends(installation: Installation) -> Mapping[Partition, int]:
    """The last offset of each partition."""

    async def look(log: SqliteLog | KafkaLog) -> Mapping[Partition, int]:
        found = await log.tails(names(installation))
        return {partition: last.offset for partition, last in found.items()}

    return _with(installation, look)


def messages(installation: Installation, name: str = "changes") -> list[Delivered]:
    """Everything on a topic (without its prefix), in order per key."""
    topic = f"{installation.prefix}.{name}"

    async def read(log: SqliteLog | KafkaLog) -> list[Delivered]:
        left = {partition: last.offset for partition, last in (await log.tails([topic])).items()}
        found: list[Delivered] = []
        if not left:
            return found
        async for each in log.follow([topic], from_start=True):
            found.append(each)
            if left.get((each.topic, each.partition)) == each.offset:
                del left[each.topic, each.partition]
                if not left:
                    break
        return found

    return _with(installation, read)


def of_key(installation: Installation, key: int, name: str = "changes") -> list[Delivered]:
    """The messages of one record."""
    return [each for each in messages(installation, name) if each.key == b'{"id":%d}' % key]


def kinds(found: Sequence[Delivered]) -> list[str]:
    """Each message as its letter and the system it comes from: ``c``, ``u<stripe`` …; a tombstone is ``-``."""
    return [_kind(each) for each in found]


def document(message: Delivered) -> dict[str, Any]:
    """The envelope."""
    assert message.value is not None
    loaded: dict[str, Any] = orjson.loads(message.value)
    return loaded


def _kind(message: Delivered) -> str:
    if message.value is None:
        return "-"
    origin = message.header("bothways.origin")
    return str(document(message)["op"]) + (f"<{origin.decode()}" if origin else "")


def _with(installation: Installation, work: Callable[[SqliteLog | KafkaLog], Awaitable[R]]) -> R:
    async def run() -> R:
        log = open_log(installation.log, {}, installation.folder / ".bothways")
        try:
            return await work(log)
        finally:
            await log.close()

    return asyncio.run(run())
