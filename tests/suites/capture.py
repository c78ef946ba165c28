"""What every capture of a catalogue must do, whatever reads the changes and whatever log takes them.

An adapter's tests inherit the classes and give the fixture ``source`` (a ``CaptureSource`` over a fresh database) and
``log_url``. The table is ``items (id integer primary key, name text, amount integer)``; statements are such that any
database takes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Protocol, TypeAlias

import orjson

from bothways.eventlog import open_log
from bothways.eventlog.codec import NEW_KEY, OLD_KEY, POSITION, decode_change
from bothways.eventlog.kafka import KafkaLog
from bothways.eventlog.murmur2 import partition_for
from bothways.eventlog.sqlite import SqliteLog
from bothways.model.change import Change, Operation, Position
from bothways.model.values import Value, Values
from bothways.ports import Delivered, Role, Topic
from bothways.sync.mapping import TableMap
from tests.servers.shared import REPOSITORY

AnyLog: TypeAlias = SqliteLog | KafkaLog

PATIENCE_SECONDS = 60.0
"""For what takes a moment; reached by nothing that works."""
PARTITIONS = 3


class CaptureSource(Protocol):
    """A database with a table ``items`` that can be captured from."""

    @property
    def table(self) -> str:
        """The table's name, as in the settings."""
        ...

    async def run(self, *statements: str, origin: tuple[str, str] | None = None) -> None:
        """The statements as one transaction, marked as ``origin``'s (system, cause) if it is given."""
        ...

    async def rows(self) -> dict[str, Values]:
        """Key → row of the table as it is now, in canonical form."""
        ...

    def capture(self, tables: Sequence[TableMap], log: AnyLog) -> Role:
        """A new capture of these tables."""
        ...

    def program(self) -> tuple[str, str]:
        """For a capture in a process of its own: ``module:function`` and its argument; called with tables and log."""
        ...


def items(source: CaptureSource, topic: str) -> TableMap:
    """The suite's table on this topic."""
    return TableMap("item", source.table, topic, frozenset({"name"}))


async def open_topic(log_url: str, folder: Path) -> tuple[AnyLog, str]:
    """A log, and a topic of the test's own on it."""
    log = open_log(log_url, {}, folder)
    topic = f"items-{uuid.uuid4().hex[:12]}"
    await log.ensure([Topic(topic, partitions=PARTITIONS)])
    return log, topic


@contextlib.asynccontextmanager
async def running(role: Role, *, until_ready: bool = True) -> AsyncIterator[Role]:
    """The role at work; stopped as a process stops it. What it raises by itself comes out."""
    task = asyncio.create_task(role.run())
    try:
        if until_ready:
            await ready(role, task)
        yield role
    finally:
        if not task.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def ready(role: Role, task: asyncio.Task[None] | None = None) -> None:
    """Wait until the role does its work."""
    await eventually(lambda: role.ready() is None or (task is not None and task.done()))
    if task is not None and task.done():
        await task


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that shows no event of its own."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  # the contract of ports.Role has no event to wait for
            await asyncio.sleep(0.01)


async def messages_until(log: AnyLog, topic: str, *keys: str) -> list[Delivered]:
    """The topic from its oldest message on, until changes of all these keys are read, and what the log has by then.

    What was appended before to other partitions may come later: who compares everything ends each partition, see
    ``end_everywhere``.
    """
    found: list[Delivered] = []
    expected = {key.encode() for key in keys}
    async with asyncio.timeout(PATIENCE_SECONDS), contextlib.aclosing(_follow(log, topic)) as messages:
        async for message in messages:
            found.append(message)
            if message.value is not None:
                expected.discard(message.key or b"")
            if not expected:
                ends = {place: last.offset for place, last in (await log.tails([topic])).items()}
                break
        missing = {place for place, end in ends.items() if _last_offset(found, place) < end}
        while missing:
            message = await anext(messages)
            found.append(message)
            missing = {place for place in missing if _last_offset(found, place) < ends[place]}
    return found


def _last_offset(messages: Sequence[Delivered], place: tuple[str, int]) -> int:
    return max((m.offset for m in messages if (m.topic, m.partition) == place), default=-1)


async def _follow(log: AnyLog, topic: str) -> AsyncGenerator[Delivered, None]:
    async for message in log.follow([topic], from_start=True):
        yield message


def changes(messages: Sequence[Delivered]) -> list[Change]:
    """What the messages tell, tombstones left out, in the order of their positions."""
    decoded = [decode_change("item", message) for message in messages]
    return sorted((change for change in decoded if change is not None), key=lambda change: change.position.order)


def positions(messages: Sequence[Delivered]) -> list[Position]:
    """Every message has one."""
    headers = [message.header(POSITION) for message in messages]
    return [Position.parse((header or b"").decode()) for header in headers]


def fold(messages: Sequence[Delivered]) -> dict[str, Values]:
    """The table as a consumer makes it of the topic: partition by partition, in order."""
    table: dict[str, Values] = {}
    for message in messages:
        assert message.key is not None
        envelope = None if message.value is None else json.loads(message.value)
        if envelope is None or envelope["op"] == "d":
            table.pop(message.key.decode(), None)
        else:
            table[message.key.decode()] = envelope["after"]
    return table


def key(number: int) -> str:
    """The suite's primary key."""
    return f'{{"id":{number}}}'


END = 999_999
"""The key of the row that a test writes last."""


class CaptureSuite:
    """What comes out of what was written."""

    async def test_every_kind_of_change(self, source: CaptureSource, log_url: str, tmp_path: Path) -> None:
        """Insert, update, delete: key, row, operation, and a tombstone after the deletion."""
        log, topic = await open_topic(log_url, tmp_path)
        async with running(source.capture([items(source, topic)], log)):
            await source.run("insert into items values (1, 'Zoë \"x\"', null)")
            await source.run("update items set amount = 5 where id = 1")
            await source.run("delete from items where id = 1")
            await source.run(f"insert into items values ({END}, 'end', 0)")
            messages = await messages_until(log, topic, key(END))
        first, second, third, _ = changes(messages)
        assert (first.key, first.operation) == (key(1), Operation.CREATE)
        assert (first.before, first.after) == (None, {"id": 1, "name": 'Zoë "x"', "amount": None})
        assert (second.operation, second.after) == (Operation.UPDATE, {"id": 1, "name": 'Zoë "x"', "amount": 5})
        assert (third.operation, third.after) == (Operation.DELETE, None)
        assert third.before is not None
        assert third.before["id"] == 1
        of_one = [message for message in messages if message.key == key(1).encode()]
        assert [message.value is None for message in of_one] == [False, False, False, True]
        await log.close()

    async def test_positions_rise_and_never_repeat(self, source: CaptureSource, log_url: str, tmp_path: Path) -> None:
        """Within each partition in the order of the messages; transactions in the order of their commits."""
        log, topic = await open_topic(log_url, tmp_path)
        async with running(source.capture([items(source, topic)], log)):
            for number in range(20):
                await source.run(
                    f"insert into items values ({number}, 'a', 0)",
                    f"update items set amount = 1 where id = {number}",
                    f"delete from items where id = {number}",
                )
            await source.run(f"insert into items values ({END}, 'end', 0)")
            messages = await messages_until(log, topic, key(END))
        found = positions(messages)
        assert len(set(found)) == len(found) == 20 * 4 + 1
        for partition in range(PARTITIONS):
            own = [p.order for p, m in zip(found, messages, strict=True) if m.partition == partition]
            assert own == sorted(own)
        told = [change.key for change in changes(messages) if change.operation is Operation.CREATE]
        assert told == [key(number) for number in [*range(20), END]]
        await log.close()

    async def test_a_changed_key_moves_the_record(self, source: CaptureSource, log_url: str, tmp_path: Path) -> None:
        """A deletion that names the new key, a tombstone, a creation that names the old one."""
        log, topic = await open_topic(log_url, tmp_path)
        async with running(source.capture([items(source, topic)], log)):
            await source.run("insert into items values (1, 'a', 0)")
            await source.run("update items set id = 2 where id = 1")
            await source.run(f"insert into items values ({END}, 'end', 0)")
            messages = await messages_until(log, topic, key(END))
        _, gone, here, _ = changes(messages)
        assert (gone.operation, gone.key, gone.moved_to) == (Operation.DELETE, key(1), key(2))
        assert (here.operation, here.key, here.moved_from) == (Operation.CREATE, key(2), key(1))
        assert fold(messages) == await source.rows()
        headers = {name for message in messages for name, _ in message.headers}
        assert {NEW_KEY, OLD_KEY} <= headers
        await log.close()

    async def test_the_origin_of_a_transaction(self, source: CaptureSource, log_url: str, tmp_path: Path) -> None:
        """All changes of a marked transaction carry it, those of others do not."""
        log, topic = await open_topic(log_url, tmp_path)
        async with running(source.capture([items(source, topic)], log)):
            await source.run("insert into items values (1, 'a', 0)")
            await source.run(
                "insert into items values (2, 'b', 0)", "delete from items where id = 1", origin=("stripe", "evt_1")
            )
            await source.run(f"insert into items values ({END}, 'end', 0)")
            messages = await messages_until(log, topic, key(END))
        told = [(change.key, change.origin, change.cause) for change in changes(messages)]
        assert told == [
            (key(1), None, None),
            (key(2), "stripe", "evt_1"),
            (key(1), "stripe", "evt_1"),
            (key(END), None, None),
        ]
        await log.close()

    async def test_what_is_rolled_back_is_never_seen(self, source: CaptureSource, log_url: str, tmp_path: Path) -> None:
        """Only commits are changes."""
        log, topic = await open_topic(log_url, tmp_path)
        async with running(source.capture([items(source, topic)], log)):
            with contextlib.suppress(Exception):
                await source.run("insert into items values (1, 'a', 0)", "insert into items values (1, 'again', 0)")
            await source.run(f"insert into items values ({END}, 'end', 0)")
            messages = await messages_until(log, topic, key(END))
        assert [change.key for change in changes(messages)] == [key(END)]
        await log.close()


class CaptureRestartSuite:
    """Nothing is lost, nothing appended twice, however capture ends."""

    async def test_what_happens_while_it_is_down(self, source: CaptureSource, log_url: str, tmp_path: Path) -> None:
        """It goes on where it stopped, also when it is started where others left off."""
        log, topic = await open_topic(log_url, tmp_path)
        for number in range(4):
            await source.run(f"insert into items values ({number}, 'a', 0)")
            async with running(source.capture([items(source, topic)], log)):
                await messages_until(log, topic, key(number))
            await source.run(f"update items set name = 'b' where id = {number}")
        await source.run(f"insert into items values ({END}, 'end', 0)")
        async with running(source.capture([items(source, topic)], log)):
            messages = await messages_until(log, topic, key(END))
        assert len(set(positions(messages))) == len(messages) == 9
        assert fold(messages) == await source.rows()
        await log.close()

    async def test_a_second_one_waits_and_takes_over(self, source: CaptureSource, log_url: str, tmp_path: Path) -> None:
        """One reads, the other says why it does not; when the first ends, nothing is missed or doubled."""
        log, topic = await open_topic(log_url, tmp_path)
        second = source.capture([items(source, topic)], log)
        async with contextlib.AsyncExitStack() as both:
            async with running(source.capture([items(source, topic)], log)):
                await source.run("insert into items values (1, 'a', 0)")
                await messages_until(log, topic, key(1))
                await both.enter_async_context(running(second, until_ready=False))
                await eventually(lambda: "another capture" in (second.ready() or ""))
                await source.run("insert into items values (2, 'a', 0)")
                await messages_until(log, topic, key(2))
            await source.run(f"insert into items values ({END}, 'end', 0)")
            messages = await messages_until(log, topic, key(END))
            assert second.ready() is None
        assert len(set(positions(messages))) == len(messages) == 3
        await log.close()

    async def test_killed_again_and_again_while_rows_change(
        self, source: CaptureSource, log_url: str, tmp_path: Path
    ) -> None:
        """Processes that die at any moment leave a topic with each position once, which folds to the table."""
        log, topic = await open_topic(log_url, tmp_path)
        writing = asyncio.create_task(edit(source, random.Random(7)))
        chance = random.Random(11)
        try:
            for _ in range(5):
                process = await _start(source, log_url, topic, tmp_path)
                await asyncio.sleep(chance.uniform(0.05, 0.6))
                process.kill()
                await process.wait()
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
        ends = await end_everywhere(source)
        async with running(source.capture([items(source, topic)], log)):
            messages = await messages_until(log, topic, *ends)
        found = positions(messages)
        assert len(set(found)) == len(found)
        assert len(found) > 100
        assert fold(messages) == await source.rows()
        await log.close()


async def edit(source: CaptureSource, chance: random.Random) -> None:
    """Changes of all kinds, until cancelled; the editor itself never leaves a transaction half done."""
    while True:
        statements = []
        for _ in range(chance.randint(1, 30)):
            number = chance.randint(1, 60)
            statements += chance.choice(
                [
                    [f"delete from items where id = {number}", f"insert into items values ({number}, 'n', {number})"],
                    [f"update items set amount = amount + 1, name = 'x{chance.random()}' where id = {number}"],
                    [f"delete from items where id = {number}"],
                    [
                        f"delete from items where id = {number + 100}",
                        f"update items set id = {number + 100} where id = {number}",
                    ],
                ]
            )
        change = asyncio.create_task(source.run(*statements))
        try:
            await asyncio.shield(change)
        except asyncio.CancelledError:
            await change  # the connection is somebody else's next
            raise
        await asyncio.sleep(0.005)  # a load, not as much as goes


async def end_everywhere(source: CaptureSource) -> list[str]:
    """Insert a row for each partition, after which nothing comes there. Gives the keys to read until."""
    numbers = [
        next(n for n in count(END) if partition_for(key(n).encode(), PARTITIONS) == p) for p in range(PARTITIONS)
    ]
    await source.run(*(f"insert into items values ({number}, 'end', 0)" for number in numbers))
    return [key(number) for number in numbers]


async def _start(source: CaptureSource, log_url: str, topic: str, folder: Path) -> asyncio.subprocess.Process:
    """A capture in a process of its own, once it says that it reads."""
    maker, argument = source.program()
    command = ["-m", "tests.suites.capture_program", maker, argument, log_url, str(folder), topic, source.table]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await process.stdout.readline() == b"ready\n"
    return process


def as_values(rows: Mapping[str, Mapping[str, Value]]) -> dict[str, Values]:
    """Rows as the topic shows them, through JSON and back."""
    found: dict[str, Values] = orjson.loads(orjson.dumps(rows))
    return found
