"""The dispatcher alone: a sink that takes 100 ms a call, 1,000 keys, one record a call, order per key checked.

Run with ``python bench/dispatch.py [records]``; prints records a second. 1,000 keys at 100 ms allow 10,000.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from functools import partial

from bothways.flow.dispatch import Dispatcher, Offsets

KEYS = 1_000
CALL_SECONDS = 0.1
LIMIT = 8_000
PARTITION = ("bench", 0)


async def measure(records: int) -> float:
    """Push the records through; returns records a second. Raises if a key's order was broken or one was lost."""
    last = dict.fromkeys(range(KEYS), -1)
    busy: set[int] = set()

    async def sink(key: int, items: list[int]) -> None:
        if key in busy:
            raise RuntimeError(f"two calls at once for key {key}")
        busy.add(key)
        await asyncio.sleep(CALL_SECONDS)
        for item in items:
            if item <= last[key]:
                raise RuntimeError(f"key {key}: {item} after {last[key]}")
            last[key] = item
        busy.discard(key)

    dispatcher: Dispatcher[int, int] = Dispatcher(sink, limit=LIMIT, coalesce=False)
    offsets = Offsets()

    began = time.perf_counter()
    for offset in range(records):
        offsets.began(PARTITION, offset)
        await dispatcher.put(offset % KEYS, offset, partial(offsets.finished, PARTITION, offset))
        if offset % 1_000 == 0:
            offsets.committable()
    await dispatcher.drain()
    seconds = time.perf_counter() - began
    await dispatcher.stop()
    if offsets.committable() != {PARTITION: records}:
        raise RuntimeError(f"not everything is done: {offsets.committable()} of {records}")
    return records / seconds


def main() -> None:
    """Measure and print."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    rate = asyncio.run(measure(records))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = (used.ru_utime + used.ru_stime) / records * 1e6
    print(f"dispatcher, {KEYS} keys, {CALL_SECONDS * 1000:.0f} ms a call: {rate:,.0f} records/s, {cpu:.0f} µs CPU each")


if __name__ == "__main__":
    main()
