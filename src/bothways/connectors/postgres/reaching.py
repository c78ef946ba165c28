"""Making a connection, with an error that says where nobody answered."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict


async def reach(url: str, *, timeout: int) -> psycopg.AsyncConnection[Any]:
    """A connection on which every statement is a transaction; ``timeout`` in seconds. Raises what psycopg raises."""
    try:
        return await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=timeout, application_name="bothways"
        )
    except psycopg.errors.ConnectionTimeout:
        raise psycopg.errors.ConnectionTimeout(f"no answer from {_where(url)} in {timeout} s") from None


def _where(url: str) -> str:
    """Host and port; nothing of the login."""
    found = conninfo_to_dict(url)
    return f"{found.get('hostaddr') or found.get('host') or 'the local socket'}:{found.get('port') or 5432}"
