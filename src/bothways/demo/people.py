"""The people of the demo: one at psql, one in Stripe's dashboard. Each can do things and look at things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import httpx
import psycopg
from psycopg.rows import dict_row

from bothways.demo.failure import NotSeen
from bothways.demo.shop import API_KEY

Row = Mapping[str, Any]
Document = Mapping[str, Any]


class AtPsql:
    """Somebody with a connection to the shop's database."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def version(self) -> str:
        """The server's."""
        return str(self.one("SHOW server_version")["server_version"])

    def run(self, statement: LiteralString) -> None:
        """One or more statements, committed on return."""
        self._connection.execute(statement)

    def rows(self, query: LiteralString, *values: object) -> list[Row]:
        """What a query finds."""
        return list(self._connection.execute(query, values).fetchall())

    def one(self, query: LiteralString, *values: object) -> Row:
        """The row that has to be there. Raises ``NotSeen``."""
        found = self.row(query, *values)
        if found is None:
            raise NotSeen(f"there is no such row: {query} {list(values) or ''}")
        return found

    def row(self, query: LiteralString, *values: object) -> Row | None:
        """The first row that a query finds."""
        found = self.rows(query, *values)
        return found[0] if found else None


class InDashboard:
    """Somebody who looks at the Stripe account and edits by hand; and who can have the sandbox misbehave."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=10, trust_env=False, auth=(API_KEY, ""))

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def answers(self) -> bool:
        """Whether the sandbox is there."""
        try:
            return self._client.get("/_sandbox/state").is_success
        except httpx.TransportError:
            return False

    def add_webhook(self, url: str) -> str:
        """Have all events sent there; the secret that they are signed with."""
        answer = self._client.post("/v1/webhook_endpoints", data={"url": url, "enabled_events[]": "*"})
        return str(answer.raise_for_status().json()["secret"])

    def all(self, kind: str) -> list[Document]:
        """Every object of that kind that is not deleted, oldest first."""
        found: list[Document] = self._get(f"objects/{kind}")["data"]
        return found

    def find(self, kind: str, /, **fields: object) -> Document | None:
        """The first one with these values."""
        return next((each for each in self.all(kind) if fields.items() <= each.items()), None)

    def edit(self, kind: str, id: str, /, **fields: object) -> None:
        """Change one by hand."""
        self._post("edit", object=kind, id=id, params=fields)

    def delete(self, kind: str, id: str) -> None:
        """Delete one by hand."""
        self._post("edit", object=kind, id=id, delete=True)

    def misbehave(self, fault: str, /, **rule: object) -> None:
        """A fault of the sandbox (``bothways.sandbox.stripe.faults``), once."""
        self._post("faults", fault=fault, times=1, **rule)

    def delivered(self) -> int:
        """Webhooks that were taken so far, repeated ones too."""
        return int(self._get("state")["deliveries"]["delivered"])

    def is_quiet(self) -> bool:
        """Whether no webhook is under way."""
        return not self._get("state")["deliveries"]["pending"]

    def writes(self) -> int:
        """Calls so far that wanted to change something."""
        counts = self._get("state")["requests"]
        return sum(each["count"] for each in counts if each["method"] != "GET")

    def creates(self, kind: str) -> list[Document]:
        """Calls that wanted to create such an object, oldest first."""
        path = f"/v1/{kind}s"
        return [each for each in self._get("requests")["requests"] if (each["method"], each["path"]) == ("POST", path)]

    def _get(self, path: str, /) -> Any:
        return self._client.get(f"/_sandbox/{path}").raise_for_status().json()

    def _post(self, path: str, /, **body: object) -> None:
        self._client.post(f"/_sandbox/{path}", json=body).raise_for_status()
