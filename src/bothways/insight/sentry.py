"""What goes wrong, told to Sentry, without a word that could be about a person.

An event says what happened, to which record (its key) and where (its position on the log), and, for an exception, its
type and the lines of code that it went through. Messages of exceptions are left out, since databases and remote systems
quote values in them; so are local variables, requests, and what the machine is called. Needs the package
``sentry-sdk``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from traceback import walk_tb
from types import FrameType
from typing import TYPE_CHECKING, Any

from bothways import __version__
from bothways.insight.seldom import Seldom

if TYPE_CHECKING:
    from sentry_sdk.types import Event

TOLD = frozenset({"letter.new"})
"""Events that are told though they are no errors."""
FACTS = ("role", "direction", "system", "entity", "field", "method", "id", "key", "position", "by", "restart_seconds")
"""The fields of our own events that are told. None of them holds a value of a record but its key."""
TAGS = frozenset(FACTS[:6])
CLOSE_SECONDS = 5.0


class Sentry:
    """One process's reporter; ``close`` sends what is left. Raises ``ValueError`` for a DSN that is none."""

    def __init__(self, dsn: str, environment: str | None = None) -> None:
        import sentry_sdk

        try:
            self._client = sentry_sdk.Client(
                dsn,
                environment=environment or "production",
                release=f"bothways@{__version__}",
                server_name="",
                default_integrations=False,
                auto_enabling_integrations=False,
                include_local_variables=False,
                include_source_context=False,
                max_request_body_size="never",
                max_breadcrumbs=0,
                auto_session_tracking=False,
                send_client_reports=False,
                shutdown_timeout=CLOSE_SECONDS,
            )
        except sentry_sdk.utils.BadDsn:
            raise ValueError("this is no DSN of Sentry's") from None
        self._seldom = Seldom()

    def close(self) -> None:
        """At the end."""
        self._client.close(timeout=CLOSE_SECONDS)

    def heard(self, level: str, event: Mapping[str, Any]) -> None:
        """For ``insight.log.listening``."""
        name = str(event.get("event"))
        if level in ("error", "critical") or name in TOLD:
            facts = {fact: event[fact] for fact in FACTS if event.get(fact) is not None}
            self._tell(name, level, facts, _exception(event.get("exc_info")))

    def crashed(self, error: BaseException) -> None:
        """The process ends with this."""
        self._tell("crashed", "fatal", {}, error)

    def _tell(self, name: str, level: str, facts: Mapping[str, Any], error: BaseException | None) -> None:
        kind = name, *(facts.get(tag) for tag in sorted(TAGS)), type(error)
        kept_back = self._seldom.passes(kind)
        if kept_back is None:
            return
        told: Event = {
            "level": "error" if level not in ("fatal", "warning") else level,  # type: ignore[typeddict-item]  # one of three
            "logger": "bothways",
            "message": name,
            "tags": {"event": name, **{fact: str(facts[fact]) for fact in facts if fact in TAGS}},
            "extra": {**facts, "not_told": kept_back},
        }
        if error is not None:
            told["exception"] = {"values": _described(error)}
        self._client.capture_event(told)


def _exception(exc_info: object) -> BaseException | None:
    match exc_info:
        case BaseException():
            return exc_info
        case (_, BaseException() as error, _):
            return error
        case True:
            return sys.exc_info()[1]
    return None


def _described(error: BaseException) -> list[dict[str, Any]]:
    """The chain of causes, the first cause first, as Sentry wants it: types and lines of code, no messages."""
    chain: list[BaseException] = []
    next_one: BaseException | None = error
    while next_one is not None and next_one not in chain:
        chain.append(next_one)
        hides = next_one.__suppress_context__
        next_one = next_one.__cause__ or (None if hides else next_one.__context__)
    return [
        {
            "type": type(each).__name__,
            "module": type(each).__module__,
            "stacktrace": {"frames": [_frame(frame, line) for frame, line in walk_tb(each.__traceback__)]},
        }
        for each in reversed(chain)
    ]


def _frame(frame: FrameType, line: int) -> dict[str, Any]:
    module = frame.f_globals.get("__name__", "")
    return {
        "module": module,
        "function": frame.f_code.co_name,
        "filename": frame.f_code.co_filename.rpartition("site-packages/")[2].rpartition("/src/")[2],
        "lineno": line,
        "in_app": module.partition(".")[0] == "bothways",
    }
