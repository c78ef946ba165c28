"""Values with units, as people write them: ``60s``, ``10m``, ``25/s``, ``127.0.0.1:8000``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

DAY = 86400.0
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)")


def parse_duration(value: object) -> float:
    """Seconds of ``"60s"``, ``"1h30m"``, ``"250ms"``; a bare number counts seconds. Raises ``ValueError``."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _duration_text(value.strip())
    else:
        raise ValueError('must be a duration, as "60s", "10m" or "1h30m"')
    if not 0 < seconds < float("inf"):
        raise ValueError("must be longer than nothing")
    return seconds


def _duration_text(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = [_PART.match(text)]
    while (last := parts[-1]) and last.end() < len(text):
        parts.append(_PART.match(text, last.end()))
    total = 0.0
    for part in parts:
        if part is None:
            raise ValueError('must be a duration, as "60s", "10m" or "1h30m"')
        total += float(part[1]) * SECONDS[part[2]]
    return total


def parse_rate(value: object) -> float:
    """Calls a second of ``25``, ``"25/s"``, ``"600/m"``. Raises ``ValueError``."""
    if isinstance(value, str) and (match := _RATE.fullmatch(value.strip())):
        rate = float(match[1]) / SECONDS[match[2]]
    else:
        try:
            rate = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
        except ValueError:
            rate = -1.0
    if not 0 < rate < float("inf"):
        raise ValueError('must be calls a second, as 25, or "600/m"')
    return rate


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_listen(value: object) -> Listen:
    """Host and port of ``127.0.0.1:8000`` or ``[::1]:8000``. Raises ``ValueError``."""
    if isinstance(value, Listen):
        return value
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]\s]+)):(\d{1,5})", value) if isinstance(value, str) else None
    if match is None or int(match[3]) > 65535:
        raise ValueError('must be a host and a port, as "127.0.0.1:8000"')
    return Listen(match[1] or match[2], int(match[3]))


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds."""
Rate = Annotated[float, BeforeValidator(parse_rate)]
"""Calls a second."""
Address = Annotated[Listen, BeforeValidator(parse_listen)]
"""Where a server listens."""
