"""What one side refuses: a dead letter for the value, and everything else goes on."""

from __future__ import annotations

import json
from functools import partial

from tests.acceptance.installation import Installation, Json

LONG = "n" * 5000


def test_what_stripe_refuses_in_a_new_record(shop: Installation) -> None:
    """A long name, no address, a long metadata value: a letter each; the rest is there, and others never waited."""
    values = {"name": LONG, "email": "no address", "tier": "t" * 501, "phone": "1", "city": "Delft", "points": 3}
    key = shop.add(**values)
    others = [shop.add(name=f"other {n}", email=f"other{n}@example.org") for n in range(10)]
    remote_id = shop.until(lambda: shop.customer_of(key), "it has its customer")
    found = shop.customer(remote_id)
    assert found is not None
    assert (found["name"], found["email"], found["metadata"].get("tier")) == (None, None, None)
    assert (found["phone"], found["address"]["city"], found["metadata"]["points"]) == ("1", "Delft", "3")
    shop.until(lambda: all(shop.customer_of(other) for other in others), "the others have their customers")
    letters = [each for each in listed(shop) if each["key"] == f'{{"id":{key}}}']
    assert {each["field"] for each in letters} == {"name", "email", "metadata.tier"}
    for letter in letters:
        assert (letter["direction"], letter["system"], letter["entity"]) == ("out", "stripe", "customer")
        assert letter["reason"]
        assert letter["hint"]
    assert "5000" in reason(letters, "name") or "characters" in reason(letters, "name")
    assert "no address" in reason(letters, "email") or "email" in reason(letters, "email").lower()
    before = shop.wait_quiet()
    shop.sql("UPDATE customers SET phone = '2' WHERE id = %s", key)
    shop.until(lambda: (shop.customer(remote_id) or {})["phone"] == "2", "the record goes on")
    assert shop.wait_quiet() == before + 1
    shop.sql("UPDATE customers SET name = 'short', email = 'right@example.org', tier = 'gold' WHERE id = %s", key)
    shop.until(partial(in_step, shop, key), "what was put right is in step")
    drop(shop, letters)


def test_what_stripe_refuses_in_an_edit(shop: Installation) -> None:
    """The old value stays there, the other fields of the same edit arrive; a replay tries again, and says so again."""
    key, remote_id = shop.add_linked(name="edited", email="edited@example.org")
    shop.sql("UPDATE customers SET email = 'none', name = 'renamed', city = 'Rome' WHERE id = %s", key)
    shop.until(lambda: (shop.customer(remote_id) or {})["name"] == "renamed", "the rest of the edit")
    (letter,) = shop.until(partial(letters_of, shop, f'{{"id":{key}}}'), "a letter")
    assert letter["field"] == "email"
    assert (shop.customer(remote_id) or {})["email"] == "edited@example.org"
    shop.wait_quiet()
    assert shop.run("deadletters", "replay", str(letter["id"])).returncode == 0
    again = shop.until(partial(newer, shop, letter), "the same letter, since nothing was put right")
    assert (again["field"], again["reason"]) == (letter["field"], letter["reason"])
    shop.sql("UPDATE customers SET email = 'new@example.org' WHERE id = %s", key)
    shop.until(partial(in_step, shop, key), "what was put right is in step")


def test_what_the_database_refuses_in_an_edit(shop: Installation) -> None:
    """A constraint, and text where a number belongs: the row keeps its value, the other fields arrive."""
    key, remote_id = shop.add_linked(name="checked", email="checked@example.org", points=1)
    shop.wait_quiet()
    edit = partial(shop.stripe.admin.edit, "customer", remote_id)
    for turn, points in enumerate(["5000000", "abc"]):
        edit(name=f"edit {turn}", metadata={"points": points})
        shop.until(lambda turn=turn: (shop.row(remote_id) or {})["name"] == f"edit {turn}", "the rest of the edit")  # type: ignore[misc]  # mypy takes no defaults of lambdas
        assert (shop.row(remote_id) or {})["points"] == 1
    letters = letters_of(shop, f'{{"id":{key}}}')
    assert [each["field"] for each in letters] == ["points", "points"]
    assert all(each["direction"] == "in" and each["hint"] for each in letters)
    assert "abc" in letters[0]["reason"]
    assert "check" in letters[1]["reason"].lower()
    before = shop.wait_quiet()
    edit(phone="3")
    shop.until(lambda: (shop.row(remote_id) or {})["phone"] == "3", "the record goes on")
    assert shop.wait_quiet() == before
    assert len(letters_of(shop, f'{{"id":{key}}}')) == 2
    edit(metadata={"points": "7"})
    shop.until(lambda: (shop.row(remote_id) or {})["points"] == 7, "what was put right is in step")
    shop.until(partial(in_step, shop, key), "what was put right is in step")


def test_what_the_database_refuses_in_a_new_object(shop: Installation) -> None:
    """The row is there with all else, each refused value has its letter; put right there, it arrives."""
    made = shop.stripe.admin.create
    first = made("customer", name="big", email="big@example.org", metadata={"points": "5000000"})["id"]
    second = made("customer", name="odd", email="odd@example.org", metadata={"points": "abc"})["id"]
    rows = [shop.until(partial(shop.row, remote_id), "it has a row") for remote_id in (first, second)]
    assert [(row["name"], row["points"]) for row in rows] == [("big", None), ("odd", None)]
    letters = [each for each in shop.letters() if each["key"] in (first, second)]
    assert [each["field"] for each in letters] == ["points", "points"]
    assert all(each["reason"] and each["hint"] and each["payload"] for each in letters)
    assert shop.wait_quiet() == shop.wait_quiet()
    for remote_id in (first, second):
        shop.stripe.admin.edit("customer", remote_id, metadata={"points": "9"})
    for remote_id in (first, second):
        shop.until(lambda remote_id=remote_id: (shop.row(remote_id) or {})["points"] == 9, "it is in step")  # type: ignore[misc]  # mypy takes no defaults of lambdas


def test_at_the_end_both_sides_are_equal(shop: Installation) -> None:
    """Whatever was refused on the way: nothing is left of it."""
    shop.add(name="last", email="last@example.org")
    shop.wait_equal()


def letters_of(shop: Installation, key: str) -> list[Json]:
    """One record's letters, the newest first."""
    return [each for each in shop.letters() if each["key"] == key]


def listed(shop: Installation) -> list[Json]:
    """The letters as the command line shows them."""
    found: list[Json] = json.loads(shop.run("deadletters", "list", "--json").stdout)
    return found


def newer(shop: Installation, letter: Json) -> Json | None:
    """The same record's next letter."""
    return next((each for each in letters_of(shop, letter["key"]) if each["id"] > letter["id"]), None)


def reason(letters: list[Json], field: str) -> str:
    """Why a field was refused."""
    return str(next(each["reason"] for each in letters if each["field"] == field))


def in_step(shop: Installation, key: int) -> bool:
    """Whether this row and its customer are equal."""
    return shop.difference(key) is None


def drop(shop: Installation, letters: list[Json]) -> None:
    """Forget them; they are gone from the list."""
    numbers = [str(each["id"]) for each in letters]
    assert shop.run("deadletters", "drop", *numbers).returncode == 0
    assert not {each["id"] for each in letters} & {each["id"] for each in shop.letters()}
    assert shop.run("deadletters", "drop", *numbers).returncode != 0
