"""A remote that changes what it is told: the traffic ends, and nobody's edit is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.standing import standing


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Installation]:
    """Its Stripe trims names and writes addresses in small letters."""
    with standing(tmp_path_factory.mktemp("shop"), postgres_server, sandbox_options=("--normalise",)) as ready:
        yield ready


def test_each_side_keeps_its_spelling_and_the_traffic_ends(shop: Installation) -> None:
    """One call for each edit of ours, none for what comes back; the user's spelling stays in the row."""
    keys = [shop.add(name=f"  Ada {n} ", email=f"ADA{n}@Example.org", city="") for n in range(5)]
    shop.until(lambda: all(shop.customer_of(key) for key in keys), "all rows have their customers")
    before = shop.wait_quiet()
    assert before == 6  # the webhook endpoint and five creations
    shop.sql("UPDATE customers SET name = '  Ada  L. ' WHERE id = ANY(%s)", keys)
    assert shop.wait_quiet() == before + 5
    shown = {(each["name"], each["email"]) for each in shop.customers()}
    assert shown == {("Ada  L.", f"ada{n}@example.org") for n in range(5)}
    rows = shop.rows()
    assert {(row["name"], row["email"]) for row in rows} == {("  Ada  L. ", f"ADA{n}@Example.org") for n in range(5)}


def test_edits_on_top_of_a_normalised_value(shop: Installation) -> None:
    """Another field edited there does not bring the normalised ones; an edit of the same field comes in as it is."""
    key, remote_id = shop.add_linked(name=" Grace ", email="GRACE@Example.org")
    before = shop.wait_quiet()
    shop.stripe.admin.edit("customer", remote_id, phone="1")
    shop.until(lambda: (shop.row(remote_id) or {})["phone"] == "1", "the phone in the row")
    assert (shop.row(remote_id) or {})["email"] == "GRACE@Example.org"
    shop.stripe.admin.edit("customer", remote_id, email="Grace@New.org", name=" Grace H. ")
    shop.until(lambda: (shop.row(remote_id) or {})["email"] == "grace@new.org", "the address in the row")
    assert (shop.row(remote_id) or {})["name"] == "Grace H."
    assert shop.wait_quiet() == before
    shop.sql("UPDATE customers SET email = 'grace@NEW.org' WHERE id = %s", key)
    assert shop.wait_quiet() == before + 1  # the spelling is sent, and comes back as it was
    assert (shop.row(remote_id) or {})["email"] == "grace@NEW.org"
    assert shop.sql("SELECT count(*) AS n FROM bothways.conflict") == [{"n": 0}]
