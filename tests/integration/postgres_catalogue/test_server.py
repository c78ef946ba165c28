"""The server that the other tests stand on."""

from __future__ import annotations

import psycopg

from tests.servers.postgres import database_on


def test_a_database_is_fresh_and_goes_with_its_slots(postgres_server: str) -> None:
    """A test leaves neither its database nor a slot behind, even one that somebody still reads."""
    with database_on(postgres_server) as url, psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
        slot = "s_" + url.rpartition("/")[2]
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    with psycopg.connect(f"{postgres_server}/postgres") as admin:
        assert admin.execute("SELECT FROM pg_replication_slots WHERE slot_name = %s", [slot]).fetchone() is None
        assert admin.execute("SELECT FROM pg_database WHERE datname = %s", [url.rpartition("/")[2]]).fetchone() is None
