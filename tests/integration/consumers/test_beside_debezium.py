"""Debezium's connector and ours on one database and the same statements: the same messages, field by field."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest

from bothways.connectors.postgres.capture import PostgresCapture
from bothways.eventlog.codec import has_schema, payload
from bothways.eventlog.form import Encoding, Form
from bothways.eventlog.kafka import KafkaLog
from bothways.ports import Delivered, Topic
from bothways.sync.mapping import TableMap
from tests.integration.consumers import shapes
from tests.integration.consumers.differences import ALWAYS, READABLE, Message, differences, unnamed, unseen
from tests.servers import debezium
from tests.servers.connect import PATIENCE_SECONDS, Worker, source_settings
from tests.servers.shared import REPOSITORY
from tests.suites.capture import running

pytestmark = pytest.mark.xdist_group("connect")

MODES = {
    Encoding.DEBEZIUM: {},
    Encoding.READABLE: {
        "decimal.handling.mode": "string",
        "time.precision.mode": "isostring",
        "binary.handling.mode": "base64",
    },
}
COLUMNS = {**shapes.COLUMNS, **shapes.MORE}
LARGE = {
    "tx": "(select string_agg(md5(i::text), '') from generate_series(1, 3000) i)",
    "by": "(select decode(string_agg(md5(i::text), ''), 'hex') from generate_series(1, 3000) i)",
    "jb": "(select json_agg(md5(i::text)) from generate_series(1, 3000) i)",
    "a": "(select array_agg(hashint4(i)) from generate_series(1, 3000) i)",
    "texts": "(select array_agg(md5(i::text)) from generate_series(1, 3000) i)",
    "da": "(select array_agg(date '2000-01-01' + hashint4(i) % 100000) from generate_series(1, 3000) i)",
    "ua": "(select array_agg(md5(i::text)::uuid) from generate_series(1, 3000) i)",
}
END = 999_999


def transactions() -> list[list[str]]:
    """What is done to the table: every type and edge, what the server does not send again, keys, deletions."""
    many = [*shapes.EDGES, *shapes.BEYOND]
    return [
        [shapes.insert(1, {**shapes.USUAL, **shapes.MORE_USUAL}), "insert into shapes (id) values (2)"],
        [shapes.insert(number, {column: text}) for number, (column, text) in enumerate(many, start=10)],
        ["update shapes set s = 'new' where id = 1", "delete from shapes where id between 20 and 22"],
        [f"update shapes set ({', '.join(LARGE)}) = ({', '.join(LARGE.values())}) where id = 1"],
        ["update shapes set s = 'beside' where id = 1"],
        ["update shapes set id = 3 where id = 1", "update shapes set id = 4, s = 'moved' where id = 2"],
        ["delete from shapes where id = 3", "truncate shapes"],
        [f"insert into shapes (id) values ({END})"],
    ]


Debezium: TypeAlias = Callable[[str, Mapping[str, str]], AbstractContextManager[object]]
"""Runs Debezium's connector with these settings, under this name."""


@contextlib.asynccontextmanager
async def both(run: Debezium, log: KafkaLog, database: str, form: Form) -> AsyncIterator[tuple[str, str]]:
    """Debezium and our capture at work on ``shapes``; gives their topics."""
    name = f"beside_{uuid.uuid4().hex[:8]}"
    theirs, ours = f"{name}.public.shapes", f"{name}.ours"
    await log.ensure([Topic(topic, partitions=1) for topic in (theirs, ours, f"{name}.transaction")])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"create publication {name}_ours for table shapes".encode())
        connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [f"{name}_ours"])
    capture = PostgresCapture(
        database,
        [TableMap("shape", "shapes", ours, frozenset({"id"}))],
        log,
        slot=f"{name}_ours",
        publication=f"{name}_ours",
        name=name,
        form=form,
    )
    with run(name, source_settings(database, name, name, "public.shapes") | MODES[form.encoding]):
        await _streams(database, name)
        async with running(capture):
            yield theirs, ours


async def _streams(database: str, slot: str) -> None:
    """Wait until somebody reads the slot."""
    query = "select from pg_replication_slots where slot_name = %s and active"
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await (await connection.execute(query, [slot])).fetchall():  # noqa: ASYNC110  # no event to wait for
                await asyncio.sleep(0.05)


async def written(log: KafkaLog, topic: str) -> list[Delivered]:
    """The topic up to the row that is inserted last."""
    found: list[Delivered] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for message in log.follow([topic], from_start=True):
            found.append(message)
            if message.value is not None and payload(message.key or b"null") == {"id": END}:
                break
    return found


def shown(message: Delivered) -> Message:
    """A message in a form that can be compared."""
    value = None if message.value is None else payload(message.value)
    headers = {name: _parsed(text) for name, text in message.headers}
    found: dict[str, Any] = {"key": payload(message.key or b"null"), "value": value, "headers": headers}
    if message.key is not None and has_schema(message.key):
        found["keys"] = json.loads(message.key)["schema"]
    if message.value is not None and has_schema(message.value):
        found["after"] = _columns(json.loads(message.value)["schema"])
    return found


def _columns(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The schema of a row, by its columns, without words for people."""
    after = next(field for field in schema["fields"] if field["field"] == "after")
    return {
        field["field"]: {name: value for name, value in field.items() if name not in ("field", "doc")}
        for field in after["fields"]
    }


def _parsed(text: bytes) -> object:
    with contextlib.suppress(ValueError):
        return payload(text)
    return text


def compared(theirs: Sequence[Delivered], ours: Sequence[Delivered]) -> list[dict[str, tuple[Any, Any]]]:
    """The differences of each pair of messages. Debezium leaves truncates out."""
    told = [message for message in ours if payload(message.key or b"null") is not None]
    assert len(told) == len(ours) - 1
    assert [payload(m.key or b"") for m in told] == [payload(m.key or b"") for m in theirs]
    assert [m.value is None for m in told] == [m.value is None for m in theirs]
    return [differences(shown(one), shown(other)) for one, other in zip(theirs, told, strict=True)]


async def side_by_side(
    run: Debezium, kafka_url: str, database: str, forms: Sequence[Form]
) -> dict[Encoding, list[dict[str, tuple[Any, Any]]]]:
    """The differences of all messages, per form."""
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in shapes.create(COLUMNS):
            connection.execute(statement.encode())
        log = KafkaLog(kafka_url.removeprefix("kafka://"), {})
        async with contextlib.AsyncExitStack() as stack:
            topics = {form: await stack.enter_async_context(both(run, log, database, form)) for form in forms}
            for statements in transactions():
                with connection.transaction():
                    for statement in statements:
                        connection.execute(statement.encode())
            found = {
                form.encoding: compared(await written(log, theirs), await written(log, ours))
                for form, (theirs, ours) in topics.items()
            }
        await log.close()
    return found


async def test_the_same_messages(connect: Worker, kafka_url: str, database: str) -> None:
    """In each encoding, but for the differences that the docs name; and each of those is seen."""
    forms = [Form(encoding, schemas=True) for encoding in Encoding]
    found = await side_by_side(connect.connector, kafka_url, database, forms)
    rules = {Encoding.DEBEZIUM: ALWAYS, Encoding.READABLE: (*ALWAYS, *READABLE)}
    for encoding, named in rules.items():
        assert unnamed(found[encoding], named) == []
        assert unseen(found[encoding], named) == []


@pytest.mark.soak
async def test_the_same_messages_as_debezium_server(kafka_url: str, database: str, tmp_path: Path) -> None:
    """Which writes without schemas, and is a download of 780 MB."""

    def server(name: str, settings: Mapping[str, str]) -> AbstractContextManager[object]:
        (tmp_path / name).mkdir()
        return debezium.running(tmp_path / name, kafka_url.removeprefix("kafka://"), settings)

    found = await side_by_side(server, kafka_url, database, [Form(encoding) for encoding in Encoding])
    assert unnamed(found[Encoding.DEBEZIUM], ALWAYS) == []
    assert unnamed(found[Encoding.READABLE], (*ALWAYS, *READABLE)) == []


def test_the_docs_name_each_difference() -> None:
    """The page for users has a row for each rule."""
    page = (REPOSITORY / "docs" / "debezium.md").read_text()
    rows = [line.removeprefix("| ") for line in page.splitlines() if line.startswith("| ")]
    missing = [rule.documented for rule in (*ALWAYS, *READABLE) if not any(r.startswith(rule.documented) for r in rows)]
    assert missing == []
