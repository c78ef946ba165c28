"""Steps 1 to 6: what happens every day, and what happens when both sides change the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from bothways.demo.people import Document, Row
from bothways.demo.screen import BOTHWAYS, POSTGRES, STRIPE
from bothways.demo.stage import Stage


def ada(stage: Stage) -> Row:
    """The row that most steps are about."""
    return stage.psql.one("SELECT * FROM customers WHERE email = 'ada@example.com'")


def city(customer: Document) -> str | None:
    """A customer's city."""
    found: str | None = (customer["address"] or {}).get("city")
    return found


def new_row(stage: Stage) -> None:
    """A row is inserted."""
    stage.sql(
        "INSERT INTO customers (name, email, phone, city, tier)"
        " VALUES ('Ada Byron', 'ada@example.com', '+44 20 7946 0001', 'London', 'gold')"
    )
    wanted = {"name": "Ada Byron", "phone": "+44 20 7946 0001", "metadata.tier": "gold", "city": "London"}

    def customer() -> Document | None:
        found = stage.stripe.find("customer", email="ada@example.com")
        shows = found and {
            "name": found["name"],
            "phone": found["phone"],
            "metadata.tier": found["metadata"].get("tier"),
            "city": city(found),
        }
        return found if shows == wanted else None

    made = stage.arrives(STRIPE, "Stripe has the customer", customer, lambda found: f"new customer {found['id']}")

    def linked() -> Row | None:
        return stage.psql.row("SELECT 1 FROM customers WHERE stripe_customer_id = %s", made["id"])

    stage.arrives(
        POSTGRES, "the row has Stripe's id", linked, lambda _: "stripe_customer_id is filled in", counts=False
    )


def edit_by_hand(stage: Stage) -> None:
    """A customer is edited in Stripe's dashboard: one that we wrote last."""
    stage.by_hand("by hand in the dashboard", "customer", ada(stage)["stripe_customer_id"], name="Ada King")

    def row() -> Row | None:
        return stage.psql.row("SELECT name FROM customers WHERE email = 'ada@example.com' AND name = 'Ada King'")

    stage.arrives(POSTGRES, "the row has the new name", row, lambda found: f"the row's name is {found['name']}")


def update_row(stage: Stage) -> None:
    """A row is updated: a nested field and one in metadata."""
    stage.sql("UPDATE customers SET city = 'Paris', tier = 'platinum' WHERE email = 'ada@example.com'")

    def customer() -> Document | None:
        found = stage.stripe.find("customer", email="ada@example.com")
        return found if found and city(found) == "Paris" and found["metadata"].get("tier") == "platinum" else None

    stage.arrives(
        STRIPE,
        "Stripe has city and tier",
        customer,
        lambda found: f"address.city is {city(found)}, metadata.tier is {found['metadata']['tier']}",
    )


def another_object(stage: Stage) -> None:
    """Products, there and back: a second kind of record is a second paragraph in the settings."""
    stage.sql("INSERT INTO products (name, description) VALUES ('Engine no. 1', 'Computes tables')")

    def product() -> Document | None:
        return stage.stripe.find("product", name="Engine no. 1", description="Computes tables", active=True)

    made = stage.arrives(STRIPE, "Stripe has the product", product, lambda found: f"new product {found['id']}")
    stage.by_hand("by hand in the dashboard", "product", made["id"], description="Computes anything")

    def row() -> Row | None:
        return stage.psql.row("SELECT description FROM products WHERE description = 'Computes anything'")

    stage.arrives(
        POSTGRES,
        "the row has the new description",
        row,
        lambda found: f"the row's description is {found['description']}",
    )


def different_fields(stage: Stage) -> None:
    """Both sides are edited in the same moment, in different fields."""
    customer_id, before = ada(stage)["stripe_customer_id"], conflicts(stage)
    at_once = Barrier(2)

    def in_database() -> None:
        at_once.wait()
        stage.sql("UPDATE customers SET city = 'Turin' WHERE email = 'ada@example.com'")

    def in_stripe() -> None:
        at_once.wait()
        stage.by_hand("in the same moment", "customer", customer_id, name="Ada Lovelace")

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(in_database), pool.submit(in_stripe)]:
            done.result()
    stage.start_clock()

    def both() -> Row | None:
        row, customer = ada(stage), stage.stripe.find("customer", id=customer_id)
        here = (row["name"], row["city"]) == ("Ada Lovelace", "Turin")
        there = customer is not None and (customer["name"], city(customer)) == ("Ada Lovelace", "Turin")
        return row if here and there else None

    stage.arrives("both sides", "both sides have both edits", both, lambda row: f"{row['name']}, {row['city']}")
    found = conflicts(stage)[len(before) :]
    stage.prove(BOTHWAYS, "nothing was lost, so no conflict is recorded", not found, found)


def same_fields(stage: Stage) -> None:
    """Both sides are edited in the same fields while the sync is away."""
    customer_id, before = ada(stage)["stripe_customer_id"], conflicts(stage)
    stage.stop_sync()
    stage.sql("UPDATE customers SET name = 'Countess Ada', phone = '+39 011 555 0100' WHERE email = 'ada@example.com'")
    stage.by_hand("at the same time", "customer", customer_id, name="Lady Ada", phone="+33 1 55 55 01 00")
    started = stage.start_sync()
    stage.screen.did(BOTHWAYS, f"started again, ready after {started:.1f} s")
    stage.start_clock()
    settled = ("Countess Ada", "+33 1 55 55 01 00")

    def both() -> Row | None:
        row, customer = ada(stage), stage.stripe.find("customer", id=customer_id)
        here = (row["name"], row["phone"]) == settled
        there = customer is not None and (customer["name"], customer["phone"]) == settled
        return row if here and there else None

    stage.arrives(
        "both sides",
        "both sides are as the settings say",
        both,
        lambda row: f"{row['name']}, {row['phone']}",
        counts=False,
    )
    found = stage.until("both conflicts are recorded", lambda: _two(conflicts(stage)[len(before) :]))
    for each in found:
        stage.prove(
            BOTHWAYS,
            f"recorded: {each['column']}, {each['row_value']} and {each['remote_value']}; {each['winner']} wins",
            each["winner"] == {"name": "database", "phone": "stripe"}.get(each["column"]),
            each,
        )


def conflicts(stage: Stage) -> list[Row]:
    """Every conflict that is recorded, oldest first."""
    return stage.psql.rows('SELECT "column", row_value, remote_value, winner FROM bothways.conflict ORDER BY id')


def _two(found: list[Row]) -> list[Row] | None:
    return found if len(found) == 2 else None
