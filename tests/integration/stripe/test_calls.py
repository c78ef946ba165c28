"""What Stripe does that other remote systems may not."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from bothways.connectors.stripe.client import Transport
from bothways.connectors.stripe.pace import LocalPace
from bothways.connectors.stripe.remote import StripeRemote
from bothways.model.errors import CallRefused, FateUnknown, Forbidden, RateLimited, SettingsError, Unavailable
from bothways.model.link import Call
from bothways.model.values import Values
from bothways.sandbox.stripe import Fault, Settings, free_port
from bothways.sync.mapping import lookup
from tests.integration.stripe.bench import API_KEY, ProductBench, StripeBench, bench_on, until

CUSTOMER: Values = {
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": "+44 20 1",
    "description": "first",
    "individual_name": "Ada Lovelace",
    "business_name": "Engines Ltd",
    "address.line1": "1 High St",
    "address.line2": "Flat 2",
    "address.city": "London",
    "address.state": "LND",
    "address.postal_code": "N1",
    "address.country": "GB",
    "shipping.name": "Ada",
    "shipping.phone": "1",
    "shipping.address.line1": "2 Low St",
    "preferred_locales": ["en-GB", "de"],
    "tax_exempt": "exempt",
    "balance": -1250,
    "invoice_prefix": "ADA1",
    "next_invoice_sequence": 7,
    "invoice_settings.custom_fields": [{"name": "PO", "value": "17"}],
    "invoice_settings.footer": "Thank you",
    "invoice_settings.rendering_options.amount_tax_display": "exclude_tax",
    "metadata.tier": "gold",
}
CUSTOMER_LATER: Values = {
    "name": "Ada L.",
    "email": None,
    "address.line2": None,
    "shipping.phone": None,
    "shipping.address.city": "Paris",
    "preferred_locales": [],
    "tax_exempt": "none",
    "balance": 0,
    "invoice_settings.custom_fields": None,
    "metadata.tier": None,
    "metadata.note": "x",
}
PRODUCT: Values = {
    "name": "Mug",
    "description": "holds tea",
    "active": False,
    "images": ["https://example.com/mug.png"],
    "marketing_features": [{"name": "round"}],
    "package_dimensions.height": 1.5,
    "package_dimensions.length": 2.0,
    "package_dimensions.weight": 3.25,
    "package_dimensions.width": 4.0,
    "shippable": True,
    "statement_descriptor": "MUG",
    "tax_code": "txcd_99999999",
    "unit_label": "mug",
    "url": "https://example.com/mug",
    "type": "good",
    "metadata.colour": "blue",
}
PRODUCT_LATER: Values = {
    "name": "Big mug",
    "active": True,
    "images": None,
    "marketing_features": [],
    "package_dimensions.height": 2.5,
    "url": None,
    "metadata.colour": None,
}


def shows(expected: Values, document: Values) -> None:
    """Every path of it; nothing, '' and [] are one."""
    for path, value in expected.items():
        assert (lookup(document, path) or None) == (value or None), path


@pytest.mark.parametrize(
    ("kind", "first", "later"), [(StripeBench, CUSTOMER, CUSTOMER_LATER), (ProductBench, PRODUCT, PRODUCT_LATER)]
)
async def test_every_field_goes_there_and_comes_back(kind: type[StripeBench], first: Values, later: Values) -> None:
    """Created with all fields, then changed and emptied: the object shows what was written."""
    async with bench_on(kind) as bench:
        created = await bench.remote.call(bench.attempt(Call.CREATE, patch=first))
        shows(first, created.object.document)
        updated = await bench.remote.call(bench.attempt(Call.UPDATE, created.object.id, later))
        shows({**first, **later}, updated.object.document)


@pytest.mark.parametrize(
    ("patch", "field", "hint"),
    [
        ({"name": "x" * 5000, "phone": "1"}, "name", "at most 256 characters"),
        ({"email": "not an address", "name": "y"}, "email", "name@domain"),
        ({"metadata.tier": "x" * 501, "metadata.note": "fine"}, "metadata.tier", "at most 500 characters"),
        ({"tax_exempt": "maybe"}, "tax_exempt", "none, exempt or reverse"),
        ({"balance": "much"}, "balance", "whole number"),
    ],
)
async def test_a_refused_value_is_named_with_what_to_do(
    bench: StripeBench, patch: Values, field: str, hint: str
) -> None:
    """The record, the field and the reason are known, so that the rest of the record can go through."""
    made = await bench.make({"name": "Ada"})
    with pytest.raises(CallRefused) as refused:
        await bench.remote.call(bench.attempt(Call.UPDATE, made, patch))
    assert (refused.value.field, refused.value.status) == (field, 400)
    assert hint in refused.value.hint


async def test_too_many_metadata_keys_are_refused(bench: StripeBench) -> None:
    """The limit is told, also where no single key is to blame."""
    many: Values = {f"metadata.key{number}": "x" for number in range(60)}
    with pytest.raises(CallRefused) as refused:
        await bench.remote.call(bench.attempt(Call.CREATE, patch=many))
    assert "50 metadata keys" in refused.value.hint


async def test_a_product_with_prices_is_archived_and_gone() -> None:
    """For calls, reads, finding and the fate; repeated with the same outcome; people see it archived."""
    async with bench_on(ProductBench) as bench:
        made = await bench.make({})
        bench.sandbox.create("price", product=made, currency="eur", unit_amount=100)
        attempt = bench.attempt(Call.DELETE, made)
        for _ in range(2):
            answer = await bench.remote.call(attempt)
            assert (answer.object.id, answer.object.gone) == (made, True)
        assert (await bench.remote.fetch("product", made)).object.gone
        assert (await bench.remote.page("product", None, 10)).answers == []
        assert await bench.remote.match("product", {"name": "Thing"}) == []
        fate = await bench.remote.fate(attempt)
        assert fate is not None
        assert (fate.id, fate.gone) == (made, True)
        archived = bench.sandbox.state.all("product")[0]
        assert archived["active"] is False
        bench.sandbox.edit("product", made, active=True)
        assert not (await bench.remote.fetch("product", made)).object.gone


async def test_the_rest_of_shipping_goes_along(bench: StripeBench) -> None:
    """Stripe takes it only as a whole; what others set in it stays."""
    made = await bench.make({"shipping.name": "Ada", "shipping.phone": "1", "shipping.address.line1": "2 Low St"})
    answer = await bench.remote.call(bench.attempt(Call.UPDATE, made, {"shipping.phone": "2"}))
    assert lookup(answer.object.document, "shipping.phone") == "2"
    assert lookup(answer.object.document, "shipping.name") == "Ada"
    assert lookup(answer.object.document, "shipping.address.line1") == "2 Low St"
    emptied: Values = {"shipping.name": None, "shipping.phone": None, "shipping.address.line1": None}
    answer = await bench.remote.call(bench.attempt(Call.UPDATE, made, emptied))
    assert answer.object.document["shipping"] is None


async def test_a_whole_hash_that_others_changed_meanwhile_has_a_fate(bench: StripeBench) -> None:
    """The repeated call's body is another by then: Stripe says nothing, its events do."""
    made = await bench.make({"shipping.name": "Ada", "shipping.address.line1": "2 Low St"})
    attempt = bench.attempt(Call.UPDATE, made, {"shipping.phone": "2"})
    bench.fault(Fault.DROP_AFTER, method="POST")
    with pytest.raises(Unavailable):
        await bench.remote.call(attempt)
    await bench.edit(made, {"shipping.name": "Grace", "shipping.address.line1": "2 Low St", "shipping.phone": "2"})
    with pytest.raises(FateUnknown):
        await bench.remote.call(attempt)
    fate = await bench.remote.fate(attempt)
    assert fate is not None
    assert lookup(fate.document, "shipping.phone") == "2"
    assert lookup(fate.document, "shipping.name") == "Ada"


async def test_the_account_is_told_unless_the_key_may_not_see_it(bench: StripeBench) -> None:
    """A restricted key may lack the permission: no error."""
    account = await bench.stripe.account()
    assert account is not None
    assert account.startswith("acct_")
    bench.fault(Fault.UNAVAILABLE, status=403)
    assert await bench.stripe.account() is None


async def test_a_call_under_way_is_waited_for(bench: StripeBench) -> None:
    """The same key while the first call runs: neither a second object nor a lost one."""
    bench.fault(Fault.SLOW)
    attempt = bench.attempt(Call.CREATE, patch={"name": "Ada"})
    first = asyncio.create_task(bench.remote.call(attempt))
    await until(lambda: len(bench.sandbox.keys) == 1)
    with pytest.raises(Unavailable):
        await bench.remote.call(attempt)
    assert await bench.count() == 0
    made = (await first).object.id
    assert (await bench.remote.call(attempt)).object.id == made
    assert await bench.count() == 1


async def test_a_429_slows_the_pace_down_and_a_locked_object_does_not(bench: StripeBench) -> None:
    """The first is about the rate, the second about one object."""
    made = await bench.make({"name": "Ada"})
    full = bench.pace.rate
    bench.fault(Fault.LOCK_TIMEOUT)
    with pytest.raises(Unavailable):
        await bench.remote.fetch("customer", made)
    assert bench.pace.rate == full
    bench.fault(Fault.RATE_LIMIT)
    with pytest.raises(RateLimited):
        await bench.remote.fetch("customer", made)
    assert bench.pace.rate < full * 0.8


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.DROP_BEFORE, Fault.DROP_AFTER])
async def test_no_answer_is_no_answer(bench: StripeBench, fault: Fault) -> None:
    """5xx and broken connections: to be tried again."""
    made = await bench.make({"name": "Ada"})
    bench.fault(fault, times=2)  # the HTTP client repeats what only reads, once
    with pytest.raises(Unavailable):
        await bench.remote.fetch("customer", made)


async def test_a_slow_answer_is_given_up(bench: StripeBench) -> None:
    """The time-out is ours; the call may have taken effect, and a repetition tells."""
    remote = StripeRemote("stripe", "sk_test_slow", bench.url, LocalPace(1000), "here", transport=Transport(answer=0.2))
    try:
        bench.fault(Fault.SLOW_ANSWER)
        attempt = bench.attempt(Call.CREATE, patch={"name": "Ada"})
        with pytest.raises(Unavailable, match="Timeout"):
            await remote.call(attempt)
        assert (await remote.call(attempt)).replayed
        assert await bench.count() == 1
    finally:
        await remote.close()


async def test_nobody_there_is_unavailable() -> None:
    """The message says so, and holds no key."""
    url = f"http://127.0.0.1:{free_port()}"
    remote = StripeRemote("stripe", "sk_test_hidden", url, LocalPace(1000), "here")
    try:
        with pytest.raises(Unavailable, match="Cannot connect") as failed:
            await remote.fetch("customer", "cus_1")
        assert "hidden" not in str(failed.value)
        assert failed.value.__suppress_context__
    finally:
        await remote.close()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_pauses_the_system(bench: StripeBench, status: int) -> None:
    """No record is to blame, and the hint says what to do."""
    bench.fault(Fault.UNAVAILABLE, status=status)
    with pytest.raises(Forbidden) as refused:
        await bench.remote.fetch("customer", "cus_1")
    assert refused.value.hint
    assert API_KEY not in str(refused.value)


async def test_nothing_of_a_record_is_logged(bench: StripeBench, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the SDK nor the HTTP client says what they send, however much is logged."""
    with caplog.at_level(logging.DEBUG):
        await bench.make({"email": "ada@example.com"})
        await bench.remote.match("customer", {"email": "ada@example.com"})
        with pytest.raises(CallRefused):
            await bench.remote.call(bench.attempt(Call.CREATE, patch={"email": "hidden"}))
    assert "ada" not in caplog.text
    assert "hidden" not in caplog.text


async def test_a_live_key_is_not_sent_in_the_clear(bench: StripeBench) -> None:
    """Whoever listens could empty the account."""
    with pytest.raises(SettingsError, match="plain http"):
        StripeRemote("stripe", "sk_live_hidden", bench.url, LocalPace(1000), "here")


async def test_a_record_of_the_other_mode_is_refused(bench: StripeBench) -> None:
    """Whatever shows it: a read, a list, a match."""
    made = await bench.make({"name": "Ada"})
    bench.stripe.api.livemode = True  # as if the key were a live one: the sandbox's records are test records
    with pytest.raises(Forbidden, match="test mode"):
        await bench.remote.fetch("customer", made)
    with pytest.raises(Forbidden, match="test mode"):
        await bench.remote.page("customer", None, 10)
    with pytest.raises(Forbidden, match="test mode"):
        await bench.remote.match("customer", {"name": "Ada"})


async def test_windows_need_no_clock_of_ours(bench: StripeBench) -> None:
    """The remote's clock is an hour ahead: the window is told by it."""
    made = await bench.make({"name": "Ada"})
    bench.sandbox.clock.advance(3600)
    before = await bench.now()
    window = (await bench.remote.fetch("customer", made)).window
    assert window.low <= before
    assert int(before) <= window.high <= await bench.now()


async def test_a_clock_that_makes_webhooks_too_old_is_said_once(bench: StripeBench) -> None:
    """With what to do; and nothing is said of one that is right."""
    with capture_logs() as said:
        await bench.remote.fetch("customer", "cus_none")
        assert said == []
        bench.sandbox.clock.advance(3600)
        await bench.remote.fetch("customer", "cus_none")
        await bench.remote.fetch("customer", "cus_none")
    (line,) = said
    assert (line["event"], line["log_level"], "timedatectl" in line["hint"]) == ("clock.off", "error", True)
    assert -3605 < line["seconds_ahead"] < -3595


async def test_the_rate_is_never_exceeded() -> None:
    """Many calls at once: none is answered 429. (How much of the rate is used, is measured in ``bench/flow.py``.)"""
    async with bench_on(settings=Settings(rate=100.0), rate=100.0) as bench:
        await asyncio.gather(*(bench.remote.fetch("customer", "cus_none") for _ in range(200)))
        assert bench.requests(429) == 0


@pytest.mark.parametrize("ahead_seconds", [-7200, 0, 7200])
async def test_the_fate_is_found_whatever_our_clock_shows(bench: StripeBench, ahead_seconds: int) -> None:
    """Where no trace were found, the object would be made once more."""

    def clock() -> float:
        return time.time() + ahead_seconds

    remote = StripeRemote("stripe", API_KEY, bench.url, bench.pace, "here", settle_seconds=0.02, clock=clock)
    made = replace(bench.attempt(Call.CREATE, patch={"name": "Ada"}), at=clock())
    bench.fault(Fault.ERROR_AFTER, method="POST")
    with pytest.raises(FateUnknown):
        await remote.call(made)
    created = await remote.fate(made)
    assert created is not None
    changed = replace(bench.attempt(Call.UPDATE, created.id, {"name": "Grace"}), at=clock())
    await remote.call(changed)
    fate = await remote.fate(changed)
    assert fate is not None
    assert lookup(fate.document, "name") == "Grace"
    await remote.close()
