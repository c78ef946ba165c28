"""A real browser for tests: Debian's Chromium, started once per module (``make fixtures`` installs it)."""

from __future__ import annotations

from collections.abc import Iterator
from shutil import which

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright

STRANGER = "stranger.example"
"""A name that this browser finds on this machine, as one could that somebody has pointed here."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For modules without asynchronous tests: it has an event loop of its own in this thread."""
    found = which("chromium")
    assert found, "these tests need a browser: make fixtures installs it"
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {STRANGER} 127.0.0.1"]
        started = playwright.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a fresh profile; what its scripts throw or complain of fails the test."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    fresh = context.new_page()
    complaints: list[str] = []

    def dialog(opened: Dialog) -> None:
        complaints.append(opened.message)
        opened.dismiss()

    def console(said: ConsoleMessage) -> None:
        if said.type == "error" and "Content Security" in said.text:
            complaints.append(said.text)

    fresh.on("pageerror", lambda error: complaints.append(str(error)))
    fresh.on("dialog", dialog)
    fresh.on("console", console)
    yield fresh
    context.close()
    assert complaints == []
