"""`records`: the catalogue from the command line."""

from __future__ import annotations

from bothways.cli import exits
from tests.integration.cli.program import Program


def test_a_record_is_made_read_changed_and_deleted(ready: Program) -> None:
    """Values are text unless they are JSON; what the database made of them is shown."""
    made = ready("records", "create", "customer", "name=Ada", "points:=3", "--json").json()
    assert made["token"]
    key = str(made["record"]["id"])
    assert made["record"]["points"] == 3
    assert ready("records", "update", "customer", key, "email=ada@example.org", "points:=null").code == exits.OK
    found = ready("records", "get", "customer", key, "--json").json()
    assert (found["name"], found["email"], found["points"]) == ("Ada", "ada@example.org", None)
    assert "ada@example.org" in ready("records", "get", "customer", key).out
    assert ready("records", "delete", "customer", key, "--json").json()["deleted"] is True
    gone = ready("records", "get", "customer", key)
    assert gone.code == exits.MISSING
    assert gone.out == ""


def test_lists_come_in_pages(ready: Program) -> None:
    """Each page says where the next one begins; the last one does not."""
    for name in ("Ada", "Grace", "Edsger"):
        ready("records", "create", "customer", "--data", f'{{"name": "{name}"}}')
    first = ready("records", "list", "customer", "--limit", "2", "--json").json()
    rest = ready("records", "list", "customer", "--cursor", first["next_cursor"], "--json").json()
    assert [row["name"] for row in [*first["data"], *rest["data"]]] == ["Ada", "Grace", "Edsger"]
    assert rest["next_cursor"] is None
    table = ready("records", "list", "customer").out
    assert [name in table for name in ("id", "email", "Ada", "Edsger")] == [True] * 4


def test_an_idempotency_key_writes_once(ready: Program) -> None:
    """The second time the first answer is repeated."""
    write = ("records", "create", "customer", "--data", "-", "--idempotency-key", "k1", "--json")
    first = ready(*write, stdin='{"name": "Ada"}').json()
    again = ready(*write, stdin='{"name": "Ada"}').json()
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert again["record"] == first["record"]
    assert len(ready("records", "list", "customer", "--json").json()["data"]) == 1


def test_what_cannot_be_is_an_error_in_words(ready: Program) -> None:
    """An unknown entity, a broken constraint, a value that is none; never a traceback."""
    unknown = ready("records", "list", "custmer")
    assert unknown.code == exits.USAGE
    ready("records", "create", "customer", "name=Ada", "email=a@example.org")
    twice = ready("records", "create", "customer", "name=Eve", "email=a@example.org")
    nameless = ready("records", "create", "customer", "email=b@example.org")
    no_number = ready("records", "create", "customer", "name=Eve", "points=many")
    for refused in (twice, nameless, no_number):
        assert refused.code == exits.FAILED
        assert refused.err.startswith("bothways: ")
        assert "Traceback" not in refused.err
    assert "name" in nameless.err
    assert "points" in no_number.err or "integer" in no_number.err
