"""The page of ``bothways sandbox stripe``, worked as a person does, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.installation import Json
from tests.acceptance.standing import sandbox
from tests.servers.browser import STRANGER
from tests.servers.sandbox import API_KEY, SandboxProcess

pytestmark = pytest.mark.xdist_group("browser")

NASTY = """<script>window.broken=1</script><img src=x onerror="window.broken=1">'"`${1}</textarea>"""
VIEWS = ("customer", "product", "price", "events", "webhooks", "requests", "faults", "customer/new", "no/such")

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with sandbox(tmp_path_factory.mktemp("sandbox")) as served:
        yield served


@pytest.fixture
def stripe(_served: SandboxProcess) -> SandboxProcess:
    """Empty, without faults."""
    _served.admin.reset()
    return _served


@pytest.fixture
def api(stripe: SandboxProcess) -> Iterator[httpx.Client]:
    """A program that uses the API."""
    with httpx.Client(base_url=f"{stripe.url}/v1", auth=(API_KEY, ""), trust_env=False, timeout=30) as client:
        yield client


@contextmanager
def serving(page: bytes = b"") -> Iterator[tuple[str, Queue[str]]]:
    """A server of somebody else's: its address, and the paths that are posted to it; GET answers the page."""
    posted: Queue[str] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            posted.put(self.path)
            self.answer(b"")

        def do_GET(self) -> None:
            self.answer(page)

        def answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Tests say what they saw."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", posted
        finally:
            server.shutdown()
            thread.join()


def events(api: httpx.Client) -> list[Json]:
    """The newest first."""
    found: list[Json] = api.get("/events").raise_for_status().json()["data"]
    return found


def test_an_edit_by_hand(stripe: SandboxProcess, api: httpx.Client, page: Page) -> None:
    """It writes what the person changed and nothing else, and its event names no request; the page follows the API."""
    page.goto(stripe.url)
    assert page.url == f"{stripe.url}/dashboard/"
    expect(page.get_by_text("No customer yet.")).to_be_visible()
    made = api.post("/customers", data={"name": "Ada", "phone": "1", "metadata[tier]": "gold", "metadata[old]": "x"})
    page.get_by_role("link", name="Ada").click()
    page.get_by_label("name", exact=True).fill("Augusta Ada")
    page.get_by_role("textbox", name="city").fill("London")
    page.get_by_label("metadata value").first.fill("platinum")
    page.get_by_role("button", name="Remove this pair").last.click()
    address = f"/customers/{made.json()['id']}"
    api.post(address, data={"phone": "2", "metadata[other]": "kept"})
    expect(page.get_by_text("It was changed elsewhere meanwhile.")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_have_text("Saved, as an edit in the dashboard.")
    now = api.get(address).json()
    assert (now["name"], now["phone"], now["address"]["city"]) == ("Augusta Ada", "2", "London")
    assert now["metadata"] == {"tier": "platinum", "other": "kept"}
    by_hand, by_program, creation = events(api)
    assert by_hand["request"] == {"id": None, "idempotency_key": None}
    assert by_program["request"]["id"]
    assert creation["request"]["id"]
    assert set(by_hand["data"]["previous_attributes"]) == {"name", "address", "metadata"}
    api.post(address, data={"name": "Countess of Lovelace"})
    expect(page.get_by_label("name", exact=True)).to_have_value("Countess of Lovelace")


def test_creation_refusal_and_deletion(stripe: SandboxProcess, api: httpx.Client, page: Page) -> None:
    """By hand; what Stripe refuses is told in its words and keeps what was typed; a deletion asks first."""
    page.goto(f"{stripe.url}/dashboard/#/customer")
    page.get_by_role("link", name="New customer").click()
    page.get_by_label("name", exact=True).fill("Grace")
    page.get_by_label("email").fill("nonsense")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_contain_text("Invalid email address: nonsense")
    page.get_by_label("email").fill("grace@example.org")
    page.get_by_role("button", name="Add metadata").click()
    page.get_by_label("metadata key").fill("rank")
    page.get_by_label("metadata value").fill("admiral")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Grace")).to_be_visible()
    (made,) = api.get("/customers").json()["data"]
    assert (made["email"], made["metadata"]) == ("grace@example.org", {"rank": "admiral"})
    for answer in ("Cancel", "Delete"):
        page.get_by_role("button", name="Delete", exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text(made["id"])
        dialog.get_by_role("button", name=answer).click()
        expect(dialog).to_have_count(0)
    expect(page.get_by_text("No customer yet.")).to_be_visible()
    assert [(each["type"], each["request"]["id"]) for each in events(api)] == [
        ("customer.deleted", None),
        ("customer.created", None),
    ]


def test_faults_are_switched(stripe: SandboxProcess, api: httpx.Client, page: Page) -> None:
    """On and off, for one request or for all; the page shows how often each happened, and rules of programs, too."""
    page.goto(f"{stripe.url}/dashboard/#/faults")
    once, lost = page.get_by_label("429, rate limit refuses"), page.get_by_label("Answer lost it is done")
    page.get_by_label("429, rate limit: how often").select_option("the next one only")
    once.check()
    expect(page.get_by_text("1 fault on")).to_be_visible()
    assert api.get("/customers").status_code == 429
    expect(once).not_to_be_checked()
    expect(page.get_by_role("listitem").filter(has=once)).to_contain_text("once")
    assert api.get("/customers").status_code == 200
    lost.check()
    expect(page.get_by_text("1 fault on")).to_be_visible()
    with pytest.raises(httpx.RemoteProtocolError):
        api.post("/customers", data={"name": "done, and never told"})
    lost.uncheck()
    expect(page.get_by_text("1 customer ·")).to_be_visible()
    assert len(api.get("/customers").json()["data"]) == 1
    page.get_by_label("503, unavailable: status").fill("9")
    page.get_by_label("503, unavailable refuses").click()
    expect(page.get_by_role("alert")).to_have_text("a status lies between 400 and 599")
    expect(page.get_by_label("503, unavailable refuses")).not_to_be_checked()
    stripe.admin.fault("slow", path="/v1/prices", seconds=0.5)
    expect(page.get_by_role("cell", name="/v1/prices")).to_be_visible()
    page.get_by_role("button", name="All off").click()
    expect(page.get_by_text("All is well.")).to_be_visible()
    assert stripe.admin.state()["faults"] == []


def test_webhooks_are_seen(stripe: SandboxProcess, page: Page) -> None:
    """An endpoint made on the page, what became of each delivery, one sent once more, and one that is dropped."""
    with serving() as (hook, posted):
        page.goto(f"{stripe.url}/dashboard/#/webhooks")
        page.get_by_text("New endpoint").click()
        page.get_by_label("url").fill(f"{hook}/hook")
        page.get_by_label("enabled events").fill("customer.created\ncustomer.updated")
        page.get_by_role("button", name="Add endpoint").click()
        expect(page.get_by_text(re.compile("whsec_[A-Za-z0-9]{32}"))).to_be_visible()
        made = stripe.admin.create("customer", name="Ada")
        expect(page.get_by_text("taken, 200")).to_be_visible()
        page.get_by_role("button", name="Resend").click()
        expect(page.get_by_text("taken, 200")).to_have_count(2)
        stripe.admin.fault("doubled", times=1)
        stripe.admin.edit("customer", made["id"], name="Grace")
        expect(page.get_by_text("taken 2 times (doubled)")).to_be_visible()
        stripe.admin.fault("dropped", times=1)
        stripe.admin.edit("customer", made["id"], name="Joan")
        expect(page.get_by_text("dropped on purpose")).to_be_visible()
        page.get_by_role("button", name="Disable").click()
        expect(page.get_by_text("disabled", exact=True)).to_be_visible()
        stripe.admin.edit("customer", made["id"], name="nobody is told")
        assert [posted.get(timeout=30) for _ in range(4)] == ["/hook"] * 4
        assert posted.empty()


def test_values_are_harmless(stripe: SandboxProcess, api: httpx.Client, page: Page) -> None:
    """Whatever an object is called: it is shown as text, in every view, and runs nothing."""
    admin = stripe.admin
    made = admin.create("customer", name=NASTY, phone="'><b>", description=NASTY, metadata={"<b onclick=1>": NASTY})
    product = admin.create("product", name=NASTY, description=NASTY)
    admin.create("price", product=product["id"], currency="eur", unit_amount=1, nickname=NASTY)
    admin.create("webhook_endpoint", url="http://127.0.0.1:9/<script>window.broken=1</script>", enabled_events=["*"])
    admin.edit("customer", made["id"], phone=None)
    admin.fault("slow", path=NASTY)
    api.get("/customers/<script>window.broken=1<%2Fscript>")
    (event, *_) = events(api)
    for view in (*VIEWS, f"customer/{made['id']}", f"product/{product['id']}", f"events/{event['id']}"):
        page.goto(f"{stripe.url}/dashboard/#/{view}")
        expect(page.locator("main > div")).to_be_visible()
        assert page.evaluate("window.broken") is None
        assert page.locator("main script, main img, main b").count() == 0
    expect(page.get_by_role("link", name=NASTY)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone_and_has_names(stripe: SandboxProcess, browser: Browser, scheme: str) -> None:
    """At 360 pixels nothing is cut off, every input and button says what it is, and text stands out from its ground."""
    made = stripe.admin.create("customer", name="A long name of somebody " * 8, email="ada@example.org")
    stripe.admin.fault("slow", path="/nothing")
    with browser.new_context(viewport={"width": 360, "height": 700}, color_scheme=scheme) as context:  # type: ignore[arg-type]  # a literal
        page = context.new_page()
        for view in (*VIEWS, f"customer/{made['id']}"):
            page.goto(f"{stripe.url}/dashboard/#/{view}")
            expect(page.locator("main > div")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
            nameless = page.evaluate(
                """[...document.querySelectorAll("input, select, textarea, button")].filter((each) =>
                !each.labels?.length && !each.ariaLabel && !each.textContent.trim()).map((each) => each.outerHTML)"""
            )
            assert nameless == [], view
        ink, ground = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert contrast(ink, ground) > 7


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it, of two colours ``rgb(r, g, b)``."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


ATTACK = """
<body><form id=f method=post enctype=text/plain target=t action='URL/_sandbox/edit'>
<input name='{"object":"customer","params":{"name":"forged' value='"}}'></form><iframe name=t id=t></iframe>
<script>
const tell = (path) => fetch(path, { method: "POST", body: "x" });
(async () => {
  const body = '{"object":"customer","params":{"name":"forged"}}';
  const paths = [["POST", "edit"], ["POST", "reset"], ["DELETE", "faults"], ["GET", "objects/customer"]];
  for (const mode of ["no-cors", "cors"])
    for (const [method, path] of paths)
      await fetch(`URL/_sandbox/${path}`, { method, mode, body: method === "POST" ? body : undefined }).then(
        (answer) => answer.type === "opaque" || tell(`/read-${path}`), () => 0);
  document.getElementById("t").onload = () => tell("/done");
  document.getElementById("f").submit();
})();
</script>"""


def test_a_stranger_s_page_can_do_nothing(stripe: SandboxProcess, page: Page) -> None:
    """Another site's page in the same browser can neither change nor read; nor can one whose name points here."""
    stripe.admin.create("customer", name="Ada")
    rule = stripe.admin.fault("slow", path="/nothing")
    with serving(ATTACK.replace("URL", stripe.url).encode()) as (site, told):
        page.goto(site)
        assert told.get(timeout=30) == "/done"
        assert told.empty()
    there = stripe.url.replace("127.0.0.1", STRANGER)
    for path in ("/dashboard/", "/_sandbox/objects/customer"):
        answer = page.goto(there + path)
        assert answer is not None
        assert answer.status == 403
    assert [each["name"] for each in stripe.admin.objects("customer")] == ["Ada"]
    assert [each["id"] for each in stripe.admin.state()["faults"]] == [rule]
