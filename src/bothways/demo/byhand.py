"""What can be tried by hand while the demo stays up: commands that can be copied."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which

from bothways.demo.everyday import ada
from bothways.demo.postgres import Database
from bothways.demo.shop import API_KEY
from bothways.demo.stage import Stage

INSERT = "INSERT INTO customers (name, email) VALUES ('Alan Turing', 'alan@example.com')"
UPDATE = "UPDATE customers SET city = 'Manchester' WHERE email = 'alan@example.com'"


def to_try(folder: Path, stage: Stage, database: Database) -> Mapping[str, Sequence[str]]:
    """A heading, and what to type."""
    curl = f"curl -u {API_KEY}: {stage.stripe.url}/v1/customers"
    ours = f"{_program()} --config {shlex.quote(str(stage.sync.settings))}"
    psql = shlex.quote(str(folder / "psql"))
    return {
        "Try it: write rows": [
            f'{psql} -c "{INSERT}"',
            f'{psql} -c "{UPDATE}"',
            database.url,
        ],
        "Try it: be Stripe's dashboard": [
            curl,
            f"{curl}/{ada(stage)['stripe_customer_id']} -d 'name=Augusta Ada King'",
            f"{curl} -d 'name=Edsger Dijkstra' -d email=edsger@example.com",
            f"{stage.stripe.url}/dashboard/",
        ],
        "Look on": [
            f"{ours} tail",
            f"{ours} status",
            f"{ours} records list customer",
            f"curl {stage.sync.url}/v1/records/customer",
            f"{stage.sync.url}/docs    {stage.sync.url}/metrics",
        ],
    }


def _program() -> str:
    """How ``bothways`` is called here."""
    called = Path(sys.argv[0])
    found = which("bothways")
    if called.name != "bothways":
        return f"{shlex.quote(sys.executable)} -m bothways.cli"
    return "bothways" if found and os.path.samefile(found, called) else shlex.quote(str(called))
