"""The links belong to one account of the remote system."""

from __future__ import annotations

import time

import psycopg

from tests.acceptance.installation import Installation


def test_another_account_deletes_nothing(sqlite_installation: Installation) -> None:
    """A key of another account shows none of the objects: delivery stays down and says why, no row is deleted."""
    installation = sqlite_installation
    installation.start()
    installation.wait_ready()
    installation.sql("INSERT INTO customers (name) VALUES ('Ada'), ('Bob')")
    installation.wait_equal()
    assert installation.stop() == 0
    with psycopg.connect(installation.database, autocommit=True) as connection:
        connection.execute("""UPDATE bothways.checkpoint SET value = '"acct_another"' WHERE name = 'account:stripe'""")
    installation.start()
    time.sleep(1)
    installation.sql("UPDATE customers SET name = name || '!'")
    installation.until(lambda: "belongs to the account" in installation.said("up"), "delivery says why it is down")
    assert len(installation.rows()) == 2
    assert {customer["name"] for customer in installation.customers()} == {"Ada", "Bob"}
