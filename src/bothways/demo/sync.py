"""The sync: the real program, ``bothways up``, and what it says of itself over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from bothways.demo.children import Child, program
from bothways.demo.failure import NotSeen

_NUMBER = re.compile(rb"^(bothways_\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class Sync:
    """``bothways up`` with the demo's settings."""

    def __init__(self, folder: Path, http_port: int) -> None:
        self.settings = folder / "bothways.toml"
        self.url = f"http://127.0.0.1:{http_port}"
        command = program("--config", str(self.settings), "up")
        self.child = Child("bothways up", command, folder / "up.log", folder)
        self._client = httpx.Client(base_url=self.url, timeout=10, trust_env=False)

    def close(self) -> None:
        """Let go of the connection to it; the program is not touched."""
        self._client.close()

    def is_ready(self) -> bool:
        """Whether all of it does its work."""
        try:
            return self._client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def rows_captured(self) -> int:
        """Changes of rows that this process has read from the database."""
        return int(self._sum("bothways_capture_rows_total"))

    def is_idle(self) -> bool:
        """Whether nothing that lies on the log waits to be dealt with."""
        return self._sum("bothways_delivery_waiting") == 0

    def _sum(self, name: str) -> float:
        """A number of ``/metrics``, over all labels. Raises ``NotSeen`` for one that is not there."""
        page = self._client.get("/metrics").raise_for_status().content
        values = [float(value) for found, value in _NUMBER.findall(page) if found == name.encode()]
        if not values:
            raise NotSeen(f"{self.url}/metrics does not show {name}")
        return sum(values)
