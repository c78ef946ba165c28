"""Steps 7 to 10: what goes wrong on networks and machines, and what must not come of it."""

from __future__ import annotations

import time

from bothways.demo.everyday import ada, city
from bothways.demo.people import Document, Row
from bothways.demo.screen import BOTHWAYS, POSTGRES, STRIPE
from bothways.demo.stage import Stage

ANSWER_SECONDS = 3.0
"""So long the sandbox keeps the answer back that is to be lost: enough to see its effect and to kill the program."""
LATE_SECONDS = 1.5
STILL_SECONDS = 2.0


def repeated_webhooks(stage: Stage) -> None:
    """Two edits in Stripe: the first one's webhook comes last, the second one's twice."""
    customer_id = ada(stage)["stripe_customer_id"]
    stage.settled()
    delivered, captured = stage.stripe.delivered(), stage.sync.rows_captured()
    first, second = "+39 011 555 0111", "+39 011 555 0222"
    stage.stripe.misbehave("reordered", type="customer.updated", contains=customer_id, seconds=5)
    stage.stripe.misbehave("doubled", type="customer.updated", contains=customer_id)
    stage.by_hand("by hand", "customer", customer_id, phone=first)
    stage.by_hand("by hand", "customer", customer_id, phone=second)
    stage.screen.did(STRIPE, "the second edit's webhook is sent twice, then the first one's")

    def row() -> Row | None:
        return stage.psql.row("SELECT phone FROM customers WHERE phone = %s", second)

    stage.arrives(POSTGRES, "the row has the last edit", row, lambda found: f"the row's phone is {found['phone']}")
    stage.until("three webhooks are taken", lambda: stage.stripe.delivered() >= delivered + 3)
    stage.settled()
    rows = stage.sync.rows_captured() - captured
    stage.prove(BOTHWAYS, "3 webhooks taken, the row written once", rows == 1, f"written {rows} times")
    stage.prove(POSTGRES, f"the row's phone is still {second}", ada(stage)["phone"] == second, ada(stage)["phone"])


def crash(stage: Stage) -> None:
    """The program is killed between a call's effect and its answer; both sides are edited before it is back."""
    stage.stripe.misbehave("slow_answer", method="POST", path="/v1/customers", seconds=ANSWER_SECONDS)
    stage.sql("INSERT INTO customers (name, email, city) VALUES ('Grace Hopper', 'grace@example.com', 'New York')")

    def customer() -> Document | None:
        return stage.stripe.find("customer", email="grace@example.com")

    made = stage.arrives(
        STRIPE, "Stripe has the customer", customer, lambda found: f"new customer {found['id']}, the answer on its way"
    )
    pid, row = stage.sync.child.pid, _grace(stage)
    stage.sync.child.kill()
    stage.screen.did(BOTHWAYS, f"killed with SIGKILL (process {pid}): the answer is lost")
    stage.prove(POSTGRES, "the row does not know its customer", row["stripe_customer_id"] is None, row)
    stage.sql("UPDATE customers SET city = 'Arlington' WHERE email = 'grace@example.com'")
    stage.by_hand("meanwhile", "customer", made["id"], phone="+1 703 555 0106")
    started = stage.start_sync()
    stage.screen.did(BOTHWAYS, f"started again, ready after {started:.1f} s")
    stage.start_clock()

    def both() -> Row | None:
        row, there = _grace(stage), stage.stripe.find("customer", id=made["id"])
        here = (row["stripe_customer_id"], row["city"], row["phone"]) == (made["id"], "Arlington", "+1 703 555 0106")
        equal = there is not None and (city(there), there["phone"]) == ("Arlington", "+1 703 555 0106")
        return row if here and equal else None

    stage.arrives(
        "both sides",
        "both sides are equal",
        both,
        lambda row: f"{row['name']}, {row['city']}, {row['phone']}",
        counts=False,
    )
    there = [each for each in stage.stripe.all("customer") if each["email"] == "grace@example.com"]
    tries = [each["idempotency_key"] for each in stage.stripe.creates("customer") if each["fault"] or each["replayed"]]
    told = f"one customer: the create was sent {len(tries)} times, under one key" if len(tries) > 1 else "one customer"
    stage.prove(STRIPE, told, len(there) == 1 and len(set(tries)) == 1, f"{len(there)} customers, keys {tries}")


def late_update(stage: Stage) -> None:
    """A customer is edited and then deleted in Stripe; the edit's webhook comes after the deletion's."""
    customer_id = _grace(stage)["stripe_customer_id"]
    stage.settled()
    delivered = stage.stripe.delivered()
    stage.stripe.misbehave("late", type="customer.updated", contains=customer_id, seconds=LATE_SECONDS)
    stage.by_hand(f"by hand, its webhook {LATE_SECONDS:g} s late", "customer", customer_id, name="Admiral Hopper")
    stage.screen.did(STRIPE, f"deleted: {customer_id}")
    stage.stripe.delete("customer", customer_id)
    stage.start_clock()

    def gone() -> bool:
        return stage.psql.row("SELECT 1 FROM customers WHERE email = 'grace@example.com'") is None

    stage.arrives(POSTGRES, "the row is gone", gone, lambda _: "the row is gone")
    stage.until("the late webhook is taken", lambda: stage.stripe.delivered() >= delivered + 2)
    stage.settled()
    stage.prove(POSTGRES, "the late webhook was taken, and the row stays away", gone())
    stage.prove(STRIPE, "no customer was made anew", stage.stripe.find("customer", email="grace@example.com") is None)


def no_loop(stage: Stage) -> None:
    """Nobody edits anything: nothing is written on either side, and both are equal."""
    stage.settled()
    before = stage.stripe.writes(), stage.sync.rows_captured()
    stage.screen.did(BOTHWAYS, f"hands off for {STILL_SECONDS:g} s")
    with stage.screen.waiting("watching both sides"):
        time.sleep(STILL_SECONDS)
    stage.check()
    after = stage.stripe.writes(), stage.sync.rows_captured()
    stage.prove(STRIPE, f"{after[0]} calls that write in all, none of them new", before[0] == after[0], after[0])
    stage.prove(
        POSTGRES, f"{after[1]} changed rows read since the restart, none of them new", before[1] == after[1], after[1]
    )
    unequal = differences(stage)
    stage.prove("both sides", "equal in every record and every field", not unequal, unequal)


def differences(stage: Stage) -> list[str]:
    """Every record that is not the same on both sides."""
    rows = records(stage)
    there = [
        {**{name: each[name] for name in ("id", "name", "email", "phone")}, "city": city(each)}
        | {"tier": each["metadata"].get("tier")}
        for each in stage.stripe.all("customer")
    ]
    offered = [{name: each[name] for name in ("name", "description", "active")} for each in stage.stripe.all("product")]
    unequal = [f"{each} is in PostgreSQL only" for each in rows if each not in [*there, *offered]]
    return unequal + [f"{each} is in Stripe only" for each in [*there, *offered] if each not in rows]


def records(stage: Stage) -> list[Row]:
    """The catalogue's records, as far as both sides have their fields."""
    customers = "SELECT stripe_customer_id AS id, name, email, phone, city, tier FROM customers ORDER BY id"
    products = "SELECT name, description, active FROM products ORDER BY name"
    return stage.psql.rows(customers) + stage.psql.rows(products)


def _grace(stage: Stage) -> Row:
    return stage.psql.one("SELECT * FROM customers WHERE email = 'grace@example.com'")
