"""Lists and search."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.sandbox.stripe.settings import Settings
from bothways.sandbox.stripe.shelf import Shelf
from tests.unit.sandbox.account import Account, ids, refused


@pytest.fixture
def account() -> Account:
    """An empty account."""
    return Account()


@given(st.integers(1, 30), st.sets(st.integers(0, 29)), st.integers(1, 7), st.booleans())
def test_pages_show_everything_once_both_ways(count: int, removed: set[int], limit: int, by_email: bool) -> None:
    """Walking from either end by cursors shows all objects, newest first, whatever was deleted meanwhile."""
    account = Account()
    customers = [account.create("customer", email=f"{n % 2}@x.org") for n in range(count)]
    for n in removed & set(range(count)):
        account.delete(customers[n])
    filters = {"email": "0@x.org"} if by_email else {}
    expected = [
        str(each["id"])
        for n, each in reversed(list(enumerate(customers)))
        if n not in removed and (not by_email or n % 2 == 0)
    ]

    older: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = account.list("customer", limit=limit, **cursor, **filters)
        older += ids(page)
        if not page["has_more"]:
            break
        cursor = {"starting_after": older[-1]}
    assert older == expected

    newer: list[str] = []
    cursor = {"ending_before": str(customers[0]["id"])}
    while True:
        page = account.list("customer", limit=limit, **cursor, **filters)
        newer = ids(page) + newer
        if not page["has_more"]:
            break
        cursor = {"ending_before": newer[0]}
    assert newer == [each for each in expected if each != customers[0]["id"]]


def test_a_deleted_object_stays_a_cursor(account: Account) -> None:
    """Whoever stopped there goes on from there."""
    old, middle, new = (account.create("customer") for _ in range(3))
    account.delete(middle)
    assert ids(account.list("customer", starting_after=middle["id"])) == [old["id"]]
    assert ids(account.list("customer", ending_before=middle["id"])) == [new["id"]]


@pytest.mark.parametrize(("limit", "shown"), [(None, 10), (0, 1), (-1, 1), (5, 5), (100, 12), (101, 12)])
def test_limits_are_drawn_into_one_to_a_hundred(account: Account, limit: int | None, shown: int) -> None:
    """Ten if nothing is said."""
    for _ in range(12):
        account.create("customer")
    params = {} if limit is None else {"limit": limit}
    assert len(ids(account.list("customer", **params))) == shown


def test_lists_are_filtered_by_time_and_exact_email(account: Account) -> None:
    """``created`` exact or by bounds; the e-mail with its case."""
    made = []
    for n in range(4):
        made.append(account.create("customer", email="Ada@x.org" if n == 2 else None)["id"])
        account.now += 1
    start = 1_000_000
    assert ids(account.list("customer", created=start + 1)) == [made[1]]
    assert ids(account.list("customer", created={"gt": start, "lte": start + 2})) == [made[2], made[1]]
    assert ids(account.list("customer", created={"gte": start + 1, "lt": start + 2})) == [made[1]]
    assert ids(account.list("customer", email="Ada@x.org")) == [made[2]]
    assert ids(account.list("customer", email="ada@x.org")) == []


def test_the_email_filter_follows_changes(account: Account) -> None:
    """An old address finds nothing, a new one at once."""
    customer = account.create("customer", email="a@x.org")
    account.update(customer, email="b@x.org")
    assert ids(account.list("customer", email="a@x.org")) == []
    assert ids(account.list("customer", email="b@x.org")) == [customer["id"]]
    account.delete(customer)
    assert ids(account.list("customer", email="b@x.org")) == []


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": "ten"}, "limit"),
        ({"page": "2"}, "page"),
        ({"starting_after": "cus_none"}, "starting_after"),
        ({"ending_before": "cus_none"}, "ending_before"),
        ({"created": "yesterday"}, "created"),
        ({"created": {"since": 1}}, "created[since]"),
        ({"created": ["1"]}, "created"),
        ({"email": ["x"]}, "email"),
    ],
)
def test_refusals_of_lists(account: Account, params: dict[str, object], param: str) -> None:
    """What makes no sense names its parameter."""
    with refused(400, param=param):
        account.list("customer", **params)


def test_two_cursors_are_one_too_many(account: Account) -> None:
    """Stripe's words."""
    customer = account.create("customer")
    with refused(400, message="Received both starting_after and ending_before parameters."):
        account.list("customer", starting_after=customer["id"], ending_before=customer["id"])


def test_search_comes_later(account: Account) -> None:
    """Writes are found after the delay, as they were then; deletions too."""
    customer = account.create("customer", name="Ada")
    assert ids(account.search("customer", "name:'Ada'")) == []
    account.now += 1
    assert ids(account.search("customer", "name:'Ada'")) == [customer["id"]]
    account.update(customer, name="Grace")
    assert ids(account.search("customer", "name:'Ada'")) == [customer["id"]]
    account.now += 1
    assert ids(account.search("customer", "name:'Ada'")) == []
    account.delete(customer)
    account.now += 1
    assert ids(account.search("customer", "name:'Grace'")) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("email:'ADA@x.org'", "a"),
        ('name:"Ada Lovelace"', "a"),
        ("name~'love'", "a"),
        ("metadata['tier']:'gold'", "ab"),
        ('metadata["tier"]:"gold" AND name:"Bob"', "b"),
        ("metadata['tier']:'gold' name:'Bob'", "b"),
        ("name:'Bob' OR name:'Cid'", "bc"),
        ("-metadata['tier']:'gold'", "c"),
        ("-email:null", "a"),
        ("created>1000000", "bc"),
        ("created>=1000000 AND created<1000002", "ab"),
        (r"metadata['it\'s']:'x'", "c"),
    ],
)
def test_the_query_language(query: str, found: str) -> None:
    """Exact and partial text, numbers, metadata, negation, AND and OR."""
    account = Account(Settings(search_delay=0))
    made = {"a": account.create("customer", name="Ada Lovelace", email="ada@x.org", metadata={"tier": "gold"})}
    account.now += 1
    made["b"] = account.create("customer", name="Bob", metadata={"tier": "gold"})
    account.now += 1
    made["c"] = account.create("customer", name="Cid", metadata={"it's": "x"})
    assert sorted(ids(account.search("customer", query))) == sorted(str(made[each]["id"]) for each in found)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "Ada",
        "name:",
        "name:'Ada",
        "balance:1",
        "metadata:'x'",
        "name['a']:'x'",
        "name~'ab'",
        "created>'x'",
        "name:'a'x",
    ],
)
def test_queries_that_cannot_be_read(account: Account, query: str) -> None:
    """400, never anything else."""
    with refused(400, param="query"):
        account.search("customer", query)


def test_and_and_or_do_not_mix(account: Account) -> None:
    """As at Stripe."""
    with refused(400, param="query", message="combine AND and OR"):
        account.search("customer", "name:'a' AND name:'b' OR name:'c'")


def test_search_has_pages() -> None:
    """``next_page`` goes on where the page ended, and only comes with more."""
    account = Account(Settings(search_delay=0))
    made = [str(account.create("customer", name="Ada")["id"]) for _ in range(5)]
    first = account.search("customer", "name:'Ada'", limit=3)
    assert first["object"] == "search_result"
    assert first["has_more"] is True
    rest = account.search("customer", "name:'Ada'", limit=3, page=first["next_page"])
    assert ids(first) + ids(rest) == made[::-1]
    assert rest["next_page"] is None
    with refused(400, param="page"):
        account.search("customer", "name:'Ada'", page="nonsense")


def test_an_id_that_is_used_again_is_new() -> None:
    """A product's own id may come back after a deletion: it then stands first, once."""
    account = Account()
    first = account.create("product", id="one", name="1")
    account.create("product", id="two", name="2")
    account.delete(first)
    account.create("product", id="one", name="1")
    assert ids(account.list("product")) == ["one", "two"]


def test_forgotten_documents_are_no_cursors() -> None:
    """A shelf that forgets keeps the rest in order."""
    shelf = Shelf()
    for n in range(6):
        shelf.put(str(n), {"id": str(n)})
    shelf.forget_oldest(3)
    assert not shelf.was_here("2")
    page = shelf.page(10, after="5", before=None, keep=lambda _: True)
    assert [each["id"] for each in page.documents] == ["4", "3"]
    page = shelf.page(1, after=None, before="3", keep=lambda _: True)
    assert ([each["id"] for each in page.documents], page.has_more) == (["4"], True)
