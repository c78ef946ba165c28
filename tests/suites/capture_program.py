"""A capture in a process of its own, so that a test can kill it: says ``ready`` when it reads."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bothways.eventlog import open_log
from bothways.ports import Role
from bothways.sync.mapping import TableMap


async def main(maker: str, argument: str, log_url: str, folder: str, topic: str, table: str) -> None:
    """``maker`` is ``module:function``: (argument, tables, log) → role."""
    module, _, name = maker.partition(":")
    make: Callable[[str, list[TableMap], Any], Role] = getattr(importlib.import_module(module), name)
    log = open_log(log_url, {}, Path(folder))
    role = make(argument, [TableMap("item", table, topic, frozenset({"name"}))], log)
    task = asyncio.create_task(role.run())
    while role.ready() is not None and not task.done():  # noqa: ASYNC110  # a role has no event to wait for
        await asyncio.sleep(0.01)
    if not task.done():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
    await task


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
