"""`plan`: nothing is written, and what it says is what a backfill then does."""

from __future__ import annotations

from typing import Any

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
