"""`doctor`: what is missing is found, all of it at once, and what it says mends it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import psycopg
import pytest

from bothways.cli import exits
from tests.integration.cli.program import Program
from tests.servers.sandbox import SandboxProcess

PATH = "/webhooks/stripe"


@pytest.fixture
def shop(program: Program, stripe_process: SandboxProcess) -> Program:
    """The program with a Stripe that answers, before its setup."""
    text = (program.folder / "bothways.toml").read_text()
    (line,) = [each for each in text.splitlines() if each.startswith("api_base")]
    _change(program, line, f'api_base = "{stripe_process.url}"')
    return program


def test_it_says_what_setup_will_make_and_then_that_all_is_well(shop: Program, stripe_process: SandboxProcess) -> None:
    """Warnings are no faults; after setup and with a webhook endpoint there is nothing left to do."""
    before = shop("doctor", "--json").json()
    assert {each["what"]: each["mend"] for each in before if each["grade"] == "warning"}["state"] == "bothways setup"
    endpoint = next(each for each in before if "webhook endpoint" in each["what"])
    assert f"https://YOUR-HOST{PATH}" in endpoint["mend"]
    assert shop("setup").code == exits.OK
    _endpoint(stripe_process, "customer.created", "customer.updated", "customer.deleted")
    after = shop("doctor")
    assert after.code == exits.OK, after.out
    lines = [line for line in after.out.splitlines() if line.startswith(("warning", "fault"))]
    assert [line.split()[2] for line in lines if "max_slot_wal_keep_size" not in line] == []
    assert "sk_test" not in after.out + after.err


def test_what_it_says_of_the_database_mends_it(shop: Program) -> None:
    """Names in quotes, rights, identity: each statement can be pasted, and then the fault is gone."""
    user = f"doctor_{shop.database.rpartition('/')[2]}"
    with psycopg.connect(shop.database, autocommit=True) as owner:
        owner.execute('ALTER TABLE customers RENAME TO "My ""Customers"')
        owner.execute('ALTER TABLE "My ""Customers" REPLICA IDENTITY NOTHING')
        owner.execute(f"CREATE ROLE {user} LOGIN".encode())
        try:
            _change(shop, 'table = "customers"', """table = 'My "Customers'""")
            limited = Program(shop.folder, shop.database.replace("://postgres", f"://{user}", 1))
            mended = [_mend(owner, limited) for _ in range(8)]
            assert None in mended, mended
            assert {each.split()[0] for each in mended if each} == {"ALTER", "GRANT"}
        finally:
            owner.execute(f"DROP OWNED BY {user}; DROP ROLE {user}".encode())


def test_what_triggers_lack_is_said_and_mended(shop: Program) -> None:
    """The right to make them, then the triggers themselves; of slots and WAL nothing is said. Also once one is off."""
    user = f"doctor_{shop.database.rpartition('/')[2]}"
    _change(shop, 'url = "env:DATABASE_URL"', 'url = "env:DATABASE_URL"\ncapture = "triggers"')
    with psycopg.connect(shop.database, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {user} LOGIN".encode())
        try:
            limited = Program(shop.folder, shop.database.replace("://postgres", f"://{user}", 1))
            mended = [_mend(owner, limited) for _ in range(6)]
            assert None in mended, mended
            assert f'GRANT TRIGGER ON "public"."customers" TO {user};' in mended
            before = _findings(limited)
            assert [each for each in before if "WAL" in each["what"] or "slot" in each["what"]] == []
            assert _triggers(before) == ("warning", "bothways setup")
            assert limited("setup").code == exits.OK
            assert _triggers(_findings(limited)) == ("ok", "")
            owner.execute('ALTER TABLE customers DISABLE TRIGGER "!bothways"')
            assert _triggers(_findings(limited)) == ("warning", "bothways setup")
        finally:
            owner.execute(f"DROP OWNED BY {user} CASCADE; DROP ROLE {user}".encode())


def _triggers(findings: list[dict[str, Any]]) -> tuple[str, str]:
    """Grade and mend."""
    (found,) = [each for each in findings if each["what"] == "triggers"]
    return found["grade"], found["mend"]


def test_everything_that_is_away_is_said_at_once(shop: Program) -> None:
    """Where nobody answered, without a secret and without a traceback."""
    text = (shop.folder / "bothways.toml").read_text()
    (line,) = [each for each in text.splitlines() if each.startswith("api_base")]
    _change(shop, line, 'api_base = "http://127.0.0.1:1"')
    _change(shop, "[http]", '[log]\nurl = "kafka://127.0.0.1:2"\n[http]')
    away = Program(shop.folder, "postgresql://app:verysecret@127.0.0.1:3/shop")
    ended = away("doctor")
    assert ended.code == exits.FAILED
    faults = [line for line in ended.out.splitlines() if line.startswith("fault")]
    assert [port in line for port, line in zip((", port 3", ":2", ":1"), faults, strict=True)] == [True] * 3, faults
    for word in ("verysecret", "sk_test", "Traceback"):
        assert word not in ended.out + ended.err


def test_settings_that_cannot_be_read_are_faults(shop: Program) -> None:
    """One for each line, as everywhere."""
    _change(shop, 'name = "name"', 'name = "nam.e"')
    _change(shop, "rate = 500", 'rate = "much"')
    ended = shop("doctor")
    assert ended.code == exits.FAILED
    assert "rate" in ended.out
    assert "Traceback" not in ended.out + ended.err


def test_a_key_that_is_refused_is_a_fault_and_setup_says_so(shop: Program, stripe_process: SandboxProcess) -> None:
    """Setup makes nothing then."""
    stripe_process.admin.fault("unavailable", status=401)
    (fault,) = [each for each in _findings(shop) if each["grade"] == "fault"]
    assert (fault["what"], "api_key" in fault["mend"]) == ("stripe: key", True)
    refused = shop("setup")
    assert refused.code == exits.FAILED
    assert "api_key" in refused.err
    with psycopg.connect(shop.database) as connection:
        assert connection.execute("SELECT FROM pg_namespace WHERE nspname = 'bothways'").fetchall() == []


def test_a_webhook_endpoint_that_cannot_work_is_a_fault(shop: Program, stripe_process: SandboxProcess) -> None:
    """It lacks an event, nobody can check its signatures, and this machine's clock is wrong."""
    _endpoint(stripe_process, "customer.created")
    _change(shop, 'webhook_secrets = ["whsec_test"]', "")
    stripe_process.admin.advance(3600)
    found = {each["what"].split(" http")[0]: each for each in _findings(shop) if each["grade"] == "fault"}
    assert set(found) == {"stripe: webhook endpoint", "stripe: webhook_secrets", "stripe: clock"}
    assert "customer.deleted" in found["stripe: webhook endpoint"]["found"]
    assert "enabled_events[]=customer.created" in found["stripe: webhook endpoint"]["mend"]
    assert "s behind" in found["stripe: clock"]["found"]


def _findings(program: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(program("doctor", "--json").out)
    return found


def _mend(owner: psycopg.Connection, program: Program) -> str | None:
    """Do what the first fault asks for, as an administrator would; None where there is none."""
    faults = [each for each in _findings(program) if each["grade"] == "fault"]
    if not faults:
        return None
    statement = str(faults[0]["mend"]).partition("; (")[0]
    owner.execute(statement.encode())
    return statement


def _change(program: Program, old: str, new: str) -> None:
    path = program.folder / "bothways.toml"
    before = path.read_text()
    assert before.count(old) == 1, old
    path.write_text(before.replace(old, new))


def _endpoint(stripe: SandboxProcess, *events: str) -> None:
    body = {"url": f"http://127.0.0.1:9{PATH}", "enabled_events[]": list(events)}
    headers = {"Authorization": f"Bearer {stripe.api_key}"}
    httpx.post(f"{stripe.url}/v1/webhook_endpoints", data=body, headers=headers).raise_for_status()
