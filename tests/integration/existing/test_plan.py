"""`plan`: nothing is written, and what it says is what a backfill then does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.existing.shop import Shop, everything, fill


def planned(shop: Shop) -> dict[str, Any]:
    """The plan, by entity."""
    return {each["entity"]: each for each in shop.program("plan", "--json").json()}


def test_what_plan_says_is_what_backfill_does(shop: Shop) -> None:
    """On a mixed data set, without setup: creates, updates, links, conflicts and dead letters, number by number."""
    fill(shop)
    before = list(everything(shop))
    plan = planned(shop)
    assert list(everything(shop)) == before
    assert {each["method"] for each in shop.requests()} == {"GET"}

    done = {each["entity"]: each for each in shop.program("backfill", "--json").json()}
    for entity in ("customer", "product"):
        expected, tally = plan[entity], done[entity]["tally"]
        newest = 3  # looks at the newest end of the list, by time
        assert expected["calls"] <= tally.pop("calls") <= expected["calls"] + newest
        foreseen = {
            "linked": sum(each["count"] for each in expected["links"].values()),
            "rows_created": expected["rows"]["create"]["count"],
            "rows_updated": expected["rows"]["update"]["count"],
            "objects_created": expected["objects"]["create"]["count"],
            "objects_updated": expected["objects"]["update"]["count"],
            "conflicts": sum(each["count"] for each in expected["conflicts"].values()),
            "dead_letters": expected["dead_letters"],
            "waiting": 0,
        }
        assert foreseen == tally, (entity, expected)
    shop.check_no_duplicates()
    ((only_here,),) = shop.sql("SELECT stripe_customer_id FROM customers WHERE id = 1")
    strangers = {each["id"] for each in shop.customers() if str(each["name"]).startswith("Stranger")}
    assert only_here not in strangers
    assert len(shop.sql("SELECT id FROM customers WHERE name LIKE 'Stranger%%'")) == len(strangers) == 5


def test_a_plan_beside_links_and_for_people(shop: Shop) -> None:
    """What is linked already is compared by its base; the tables name reasons and examples; nothing is written."""
    for each in range(3):
        shop.row(name=f"Row {each}", email=f"row{each}@x.example")
    assert shop.program("backfill").code == 0
    linked = dict(shop.sql("SELECT id, stripe_customer_id FROM customers"))
    shop.sql("UPDATE customers SET name = 'Changed here' WHERE id = 1")
    shop.stripe.admin.edit("customer", linked[2], name="Changed there")
    shop.stripe.admin.delete("customer", linked[3])
    before = [*everything(shop), shop.sql("SELECT l::text FROM bothways.link l ORDER BY 1")]
    found = planned(shop)["customer"]
    assert found["linked_already"] == 2
    assert found["objects"]["update"]["examples"] == ['customer {"id":1}: name']
    assert found["rows"]["update"]["examples"] == ['customer {"id":2}: name']
    assert found["left_out"]["the linked object is not there any more"]["count"] == 1
    assert found["objects"]["delete"]["count"] == found["rows"]["delete"]["count"] == 0
    shown = shop.program("plan", "customer").out
    assert "customer at stripe: 3 rows, 2 objects" in shown
    assert "the linked object is not there any more" in shown
    assert [*everything(shop), shop.sql("SELECT l::text FROM bothways.link l ORDER BY 1")] == before


def test_a_plan_says_how_long_it_takes(shop: Shop) -> None:
    """Calls by the rate of the settings."""
    settings = shop.program.folder / "bothways.toml"
    settings.write_text(settings.read_text().replace("rate = 1000", "rate = 10"))
    for each in range(40):
        shop.row(name=f"Row {each}")
    found = planned(shop)["customer"]
    assert found["calls"] == 41
    assert found["seconds"] == pytest.approx(41 / 9.9, abs=0.1)
