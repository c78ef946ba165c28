"""A large transaction passes through in pieces."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.integration.postgres_capture.support import PostgresSource
from tests.servers.shared import REPOSITORY
from tests.suites.capture import END, key, messages_until, open_topic, positions

ROWS = 200_000


def peak_kilobytes(pid: int) -> int:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


async def test_memory_does_not_grow_with_the_transaction(source: PostgresSource, tmp_path: Path) -> None:
    """200,000 rows (100 MB as messages) take no more than the buffers on the way; all of them arrive, once."""
    log, topic = await open_topic("sqlite", tmp_path)
    maker, argument = source.program()
    command = ["-m", "tests.suites.capture_program", maker, argument, "sqlite", str(tmp_path), topic, source.table]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        await source.run("insert into items select i, repeat('x', 100), i from generate_series(1, 2000) i")
        await messages_until(log, topic, key(2000))
        before = peak_kilobytes(process.pid)
        await source.run(f"insert into items select i, repeat('x', 100), i from generate_series(2001, {ROWS}) i")
        await source.run(f"insert into items values ({END}, 'end', 0)")
        messages = await messages_until(log, topic, key(END))
        grown = peak_kilobytes(process.pid) - before
    finally:
        process.kill()
        await process.wait()
    assert len(messages) == len(set(positions(messages))) == ROWS + 1
    assert grown < 64 * 1024
    await log.close()
