"""What somebody might do to break it: each once did."""

from __future__ import annotations

import psycopg

from tests.acceptance.installation import Installation

LOCKED = 40
"""More rows than delivery has connections."""


def test_what_cannot_have_a_customer_is_told_and_can_be_put_right(shop: Installation) -> None:
    """An id that is none stops nobody; once the row is put right as the letter says, all of it is sent."""
    _, first = shop.add_linked(name="first", email="same@example.org")
    nobody = shop.add(name="nobody", email="nobody@example.org", stripe_customer_id="cus_nobody")
    dots = shop.add(name="dots", email="dots@example.org", stripe_customer_id="..")
    taken = shop.add(name="taken", email="same@example.org", city="Rome")
    keys = {f'{{"id":{key}}}' for key in (nobody, dots, taken)}
    shop.until(lambda: keys <= {letter["key"] for letter in shop.letters()}, "each is told")
    shop.add_linked(name="another")
    shop.sql("UPDATE customers SET stripe_customer_id = NULL WHERE id = ANY(%s)", [nobody, dots])
    shop.sql("UPDATE customers SET email = 'other@example.org' WHERE id = %s", taken)
    shop.wait_equal()
    assert shop.customer(first) is not None


def test_rows_that_an_application_keeps_locked_hold_up_nobody_else(shop: Installation) -> None:
    """However many they are: other rows go both ways meanwhile, and theirs follow once the locks are gone."""
    for number in range(LOCKED):
        shop.add(name=f"locked {number}")
    shop.wait_equal()
    locked = [c["id"] for c in shop.customers() if (c["name"] or "").startswith("locked")]
    with psycopg.connect(shop.database) as application:
        application.execute("UPDATE customers SET tier = 'night job' WHERE name LIKE 'locked%'")
        for customer in locked:
            shop.stripe.admin.edit("customer", customer, phone="7")
        made = shop.stripe.admin.create("customer", name="meanwhile")["id"]
        shop.until(lambda: shop.row(made), "another customer gets its row", 15)
        shop.add_linked(name="meanwhile, too")
    shop.wait_equal()
    rows = shop.sql("SELECT DISTINCT phone, tier FROM customers WHERE name LIKE 'locked%%'")
    assert rows == [{"phone": "7", "tier": "night job"}]


def test_a_row_larger_than_a_message_holds_up_nobody(shop: Installation) -> None:
    """It is kept in step like any other."""
    shop.sql("ALTER TABLE customers ADD COLUMN notes text")
    key, customer = shop.add_linked(name="large", notes="0123456789" * 150_000)
    shop.add_linked(name="after it")
    shop.sql("UPDATE customers SET city = 'Bonn', notes = notes || '!' WHERE id = %s", key)
    shop.wait_equal()
    seen = shop.customer(customer)
    assert seen is not None
    assert seen["address"]["city"] == "Bonn"


def test_a_dropped_slot_is_no_silent_gap(sqlite_installation: Installation) -> None:
    """What was missed is told, and a backfill makes up for it."""
    installation = sqlite_installation
    installation.start()
    installation.wait_ready()
    key, customer = installation.add_linked(name="Ada")
    installation.wait_quiet()
    assert installation.stop() == 0
    installation.sql(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", _slot(installation)
    )
    installation.sql("UPDATE customers SET name = 'Grace' WHERE id = %s", key)
    installation.add(name="missed")
    installation.start()
    installation.wait_ready()
    assert "bothways backfill" in installation.run("status").stdout
    assert installation.run("backfill").returncode == 0
    installation.wait_equal()
    assert "bothways backfill" not in installation.run("status").stdout
    seen = installation.customer(customer)
    assert seen is not None
    assert seen["name"] == "Grace"


def _slot(installation: Installation) -> str:
    found = installation.sql("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")
    return str(found[0]["slot_name"])
