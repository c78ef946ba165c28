"""Debezium's own JDBC sink, in a real Kafka Connect, copies a table from our topics into another database."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bothways.connectors.postgres.capture import PostgresCapture
from bothways.eventlog import open_log
from bothways.eventlog.form import Encoding, Form
from bothways.ports import Topic
from bothways.sync.mapping import TableMap
from tests.integration.consumers.shapes import COLUMNS, EDGES, USUAL, create, insert
from tests.servers.connect import PATIENCE_SECONDS, Worker
from tests.servers.postgres import database_on
from tests.suites.capture import running

pytestmark = pytest.mark.xdist_group("connect")

LARGE = "(select string_agg(md5(i::text), '') from generate_series(1, 2000) i)"


def sink(topic: str, copy: str, table: str) -> dict[str, str]:
    """The sink's settings: rows of the topic into a table of the other database."""
    address = conninfo_to_dict(copy)
    where = f"{address['host']}:{address['port']}/{address['dbname']}"
    return {
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "topics": topic,
        "connection.url": f"jdbc:postgresql://{where}?stringtype=unspecified",
        "connection.username": str(address["user"]),
        "connection.password": "none",
        "collection.name.format": table,
        "insert.mode": "upsert",
        "primary.key.mode": "record_key",
        "delete.enabled": "true",
        "truncate.enabled": "true",
        "flush.max.retries": "1",
    }


class Copying:
    """A table, the capture of it, and its copy."""

    def __init__(self, original: str, copy: str, worker: Worker, name: str) -> None:
        self._original = psycopg.connect(original, autocommit=True)
        self._copy = psycopg.connect(copy, autocommit=True)
        self._worker, self._name = worker, name

    def run(self, *statements: str) -> None:
        """In the original, as one transaction."""
        with self._original.transaction():
            for statement in statements:
                self._original.execute(statement.encode())

    async def equal(self, table: str) -> list[tuple[Any, ...]]:
        """Wait until the copy has the same rows, all columns as text; returns them."""
        rows = f"select r::text from {table} r order by id".encode()
        wanted = self._original.execute(rows).fetchall()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := self._copy.execute(rows).fetchall()) != wanted:
            self._worker.check(self._name)
            if time.monotonic() > deadline:
                assert found == wanted
            await asyncio.sleep(0.1)
        return wanted

    def close(self) -> None:
        self._original.close()
        self._copy.close()


@contextlib.asynccontextmanager
async def copying(
    worker: Worker, server: str, statements: Sequence[str], table: str, form: Form
) -> AsyncIterator[Copying]:
    """The statements run in both databases; changes of the table go from one to the other."""
    name = f"copy-{uuid.uuid4().hex[:8]}"
    with database_on(server) as original, database_on(server) as copy:
        for url in (original, copy):
            with psycopg.connect(url, autocommit=True) as connection:
                for statement in statements:
                    connection.execute(statement.encode())
        slot = name.replace("-", "_")
        with psycopg.connect(original, autocommit=True) as connection:
            connection.execute(f"create publication {slot} for table {table}".encode())
            connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
        log = open_log(f"kafka://{worker.servers}", {}, None)  # type: ignore[arg-type]  # Kafka needs no folder
        await log.ensure([Topic(name, partitions=1)])
        tables = [TableMap("row", table, name, frozenset({"id"}))]
        capture = PostgresCapture(original, tables, log, slot=slot, publication=slot, name="shop", form=form)
        both = Copying(original, copy, worker, name)
        with worker.connector(name, sink(name, copy, table)):
            async with running(capture):
                yield both
        both.close()
        await log.close()


async def test_a_table_of_every_type(connect: Worker, postgres_server: str) -> None:
    """Inserts, updates, a changed key, deletions and a truncate: the two tables are equal after each."""
    form = Form(Encoding.DEBEZIUM, schemas=True)
    statements = [*create(COLUMNS), "alter table shapes replica identity full"]
    async with copying(connect, postgres_server, statements, "shapes", form) as both:
        both.run(insert(1, USUAL), "insert into shapes (id) values (2)")
        both.run(*(insert(number, {column: text}) for number, (column, text) in enumerate(EDGES, start=10)))
        assert len(await both.equal("shapes")) == 2 + len(EDGES)
        both.run("update shapes set s = 'new', n = n + 1, d = d + 1, a = '{}', iv = null where id = 1")
        both.run(f"update shapes set tx = {LARGE} where id = 2", "update shapes set s = 'beside' where id = 2")
        both.run("update shapes set id = 3 where id = 2", "delete from shapes where id > 20")
        assert len(await both.equal("shapes")) == 2 + 11
        both.run("delete from shapes where id = 3", insert(3, USUAL), "update shapes set i = i + 1")
        await both.equal("shapes")
        both.run("truncate shapes")
        assert await both.equal("shapes") == []
        both.run(insert(1, USUAL))
        assert len(await both.equal("shapes")) == 1
