"""The sandbox Stripe for tests: beside an asynchronous test on its event loop, or as a process of its own.

``stripe_sandbox`` (asynchronous tests): the sandbox itself is at hand, as ``stripe_sandbox.sandbox``.
``stripe_process`` (all tests): one process per run of pytest, emptied for each test, worked through its admin client.
Both begin without a rate limit; ``limits`` sets one.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from bothways.sandbox.stripe import Running, Settings, free_port, running
from tests.servers.shared import die_with_parent

API_KEY = "sk_test_sandbox"
START_SECONDS = 30

Json = dict[str, Any]


class SandboxAdmin:
    """What tests do to a sandbox from outside: one method per address under ``/_sandbox``."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/_sandbox", timeout=30)

    def close(self) -> None:
        self._client.close()

    def fault(self, fault: str, /, **rule: object) -> int:
        """A rule; see ``bothways.sandbox.stripe.faults``."""
        return int(self._post("faults", fault=fault, **rule)["id"])

    def end_faults(self) -> None:
        self._client.delete("/faults").raise_for_status()

    def advance(self, seconds: float) -> None:
        self._post("clock", advance=seconds)

    def limits(self, rate: float | None, burst: float | None = None, concurrency: int | None = None) -> None:
        self._post("limits", rate=rate, burst=burst, concurrency=concurrency)

    def forget_keys(self) -> None:
        self._post("forget_keys")

    def edit(self, object: str, id: str, /, **params: object) -> Json:
        """An edit by hand."""
        return self._post("edit", object=object, id=id, params=params)

    def create(self, object: str, /, **params: object) -> Json:
        """A creation by hand."""
        return self._post("edit", object=object, params=params)

    def delete(self, object: str, id: str) -> Json:
        """A deletion by hand."""
        return self._post("edit", object=object, id=id, delete=True)

    def quiet(self, timeout: float = 10) -> bool:
        """Wait until no webhook is under way."""
        return bool(self._post("quiet", timeout=timeout)["quiet"])

    def reset(self) -> None:
        self._post("reset")

    def state(self) -> Json:
        return self._get("state")

    def objects(self, object: str) -> list[Json]:
        """Every living one, oldest first."""
        return list(self._get(f"objects/{object}")["data"])

    def requests(self, after: int = 0) -> list[Json]:
        """The last requests, oldest first."""
        return list(self._get(f"requests?after={after}")["requests"])

    def _post(self, path: str, /, **body: object) -> Json:
        return _answer(self._client.post(f"/{path}", json=body))

    def _get(self, path: str, /) -> Json:
        return _answer(self._client.get(f"/{path}"))


@dataclass(frozen=True, slots=True)
class SandboxProcess:
    """A sandbox that runs as a process of its own."""

    url: str
    admin: SandboxAdmin
    api_key: str = API_KEY


@pytest.fixture
async def stripe_sandbox() -> AsyncIterator[Running]:
    """A sandbox on the test's own event loop."""
    async with running(settings=Settings(rate=None, webhook_backoff_seconds=0.05)) as served:
        yield served


@contextlib.contextmanager
def stripe_server() -> Iterator[SandboxProcess]:
    """A sandbox in a process of its own, for as long as the block lasts."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["-m", "bothways.sandbox.stripe", "--listen", f"127.0.0.1:{port}", "--rate", "0", "--backoff", "0.05"]
    process = subprocess.Popen([sys.executable, *command], preexec_fn=die_with_parent)
    admin = SandboxAdmin(url)
    try:
        _wait_until_it_answers(admin, process)
        yield SandboxProcess(url, admin)
    finally:
        admin.close()
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def _stripe_server() -> Iterator[SandboxProcess]:
    """The process of this run."""
    with stripe_server() as served:
        yield served


@pytest.fixture
def stripe_process(_stripe_server: SandboxProcess) -> Iterator[SandboxProcess]:
    """An empty sandbox in a process of its own."""
    _stripe_server.admin.reset()
    yield _stripe_server
    _stripe_server.admin.reset()


def _wait_until_it_answers(admin: SandboxAdmin, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            admin.state()
        except httpx.ConnectError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _answer(response: httpx.Response) -> Json:
    """The body; an error says what the sandbox said."""
    assert response.is_success, response.text
    answered: Json = response.json()
    return answered
