"""What the wiring has to know of each kind of remote system. A new kind is a module like ``stripe`` and a line here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bothways.config.systems import SystemSettings
from bothways.flow.context import RemoteSystem
from bothways.flow.receive import Verify
from bothways.model.finding import Finding
from bothways.model.link import Call
from bothways.model.values import Values
from bothways.ports import EventFeed, Pace
from bothways.wiring.forms import Form


@dataclass(frozen=True, slots=True)
class RemoteField:
    """One field of a remote object, as far as a mapping has to know it."""

    form: Form
    writable: bool


@dataclass(frozen=True, slots=True)
class Connected:
    """A remote system that can be worked with."""

    remote: RemoteSystem
    feed: EventFeed
    verify: Verify
    close: Callable[[], Awaitable[None]]


class Kind(Protocol):
    """One kind of remote system."""

    def objects(self) -> Sequence[str]:
        """What can be mapped."""
        ...

    def field(self, object: str, path: str) -> RemoteField:
        """The field at a path. Raises ``SettingsError`` with a hint for what cannot be mapped."""
        ...

    def refusals(self, object: str, call: Call, patch: Values) -> Mapping[str, str]:
        """Path → why the system would refuse this value of a patch, as far as that is known beforehand."""
        ...

    def connect(
        self,
        name: str,
        settings: SystemSettings,
        objects: Sequence[str],
        pace: Pace,
        installation: str,
        admit: Callable[[str | None], Awaitable[None]],
    ) -> Connected:
        """The system, ready for calls; calls nothing yet. ``admit`` is shown the account before the first call."""
        ...

    async def examine(self, name: str, settings: SystemSettings, objects: Sequence[str]) -> Sequence[Finding]:
        """Every prerequisite there, by calls that only read; for `bothways doctor`."""
        ...

    async def check_key(self, name: str, settings: SystemSettings) -> None:
        """Raises ``Forbidden`` for a key that is refused, ``Transient`` where nobody answers."""
        ...


def kinds() -> Mapping[str, Kind]:
    """Every kind by its name in the settings."""
    from bothways.wiring.stripe import StripeKind

    return {"stripe": StripeKind()}
