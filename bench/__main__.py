"""``python -m bench``: every measurement, one after the other."""

from __future__ import annotations

import importlib
import subprocess
import sys

PARTS = ("bench.capture", "bench.triggers", "bench.debezium", "bench.flow", "bench.delivery", "bench.dispatch")
"""Each is a program of its own, so that none measures what another has left behind."""


def main() -> int:
    """Run them; 1 if one of them failed."""
    failed = 0
    for part in PARTS:
        print(f"\n== {part.rpartition('.')[2]}: {_first_line(part)}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", part], check=False).returncode
    return 1 if failed else 0


def _first_line(part: str) -> str:
    return (importlib.import_module(part).__doc__ or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
