"""Programs that use a log in a process of their own, so that a test can kill them.

``write`` appends numbers for ever and says up to which they are durable; ``read`` reads as a group's member, commits,
and says what it has committed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bothways.eventlog import open_log
from bothways.ports import Message, Partition

KEYS = 7


def numbered(topic: str, number: int) -> Message:
    """A message that tells its number; numbers of the same remainder have the same key."""
    return Message(topic, b"k%d" % (number % KEYS), b"%d" % number)


def say(word: object) -> None:
    """Tell the test."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def write(url: str, options: dict[str, str], topic: str, start: int, count: int) -> None:
    """Append ``count`` numbers from ``start`` on, and say each time more of them are durable."""
    log = open_log(url, options, Path())
    appender = log.appender()
    told = 0
    for number in range(start, start + count):
        appender.append(numbered(topic, number))
        if not number % 20:
            durable = appender.flush(0.001)
            if durable > told:
                told = durable
                say(start + told)
    say(start + appender.flush(30.0))
    appender.close()


async def read(url: str, options: dict[str, str], topic: str, group: str, count: int) -> None:
    """Read and commit one by one, saying the numbers once they are committed; one more is read and held in hand.

    That one is committed after a word from the test, unless its partition was taken away by then.
    """
    lost: set[Partition] = set()
    log = open_log(url, options, Path())
    consumer = log.consumer(group, [topic], lost.update)
    committed = 0
    while True:
        for delivered in await consumer.poll(1, 10.0):
            partition = delivered.topic, delivered.partition
            if committed == count:
                say("holding")
                await asyncio.to_thread(sys.stdin.readline)
            if partition not in lost:
                await consumer.commit({partition: delivered.offset + 1})
            say(int(delivered.value or b""))
            committed += 1


if __name__ == "__main__":
    command, log_url, log_options, name, *rest = sys.argv[1:]
    if command == "write":
        write(log_url, json.loads(log_options), name, *map(int, rest))
    else:
        asyncio.run(read(log_url, json.loads(log_options), name, rest[0], int(rest[1])))
