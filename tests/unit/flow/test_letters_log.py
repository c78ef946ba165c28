"""A dead letter is told of once it lies on its topic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from structlog.testing import capture_logs

from bothways.eventlog.sqlite import SqliteLog
from bothways.flow.letters import REASON_LENGTH, DeadLetters, Kept
from bothways.model.outcome import DeadLetter, Direction
from bothways.ports import Clock, EventFeed, Topic, Transaction

LETTER = DeadLetter(
    Direction.OUT, "stripe", "customer", '{"id":7}', "email", "no such address " * 50, "mend it", '{"email":"ada@x"}'
)


@dataclass
class _One:
    id: int
    letter: DeadLetter


@dataclass
class _Letters:
    new: list[Kept] = field(default_factory=lambda: [_One(1, LETTER)])

    async def unpublished(self, limit: int) -> Sequence[Kept]:
        return self.new[:limit]

    async def set_published(self, ids: Sequence[int]) -> None:
        self.new = [each for each in self.new if each.id not in ids]

    async def take_marked(self, limit: int) -> Sequence[Kept]:
        return []


async def test_a_new_letter_is_one_line(tmp_path: Path) -> None:
    """A warning with record, field and a short reason, and not what was to be written; nothing more the next time."""
    letters = _Letters()

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Transaction, _Letters]]:
        yield cast(Transaction, None), letters

    log = SqliteLog(tmp_path / "log.db")
    await log.ensure([Topic("dead", partitions=1)])
    feeds: Mapping[str, EventFeed] = {}
    role = DeadLetters(opened, log, cast(Clock, None), feeds, topic="dead")
    with capture_logs() as lines:
        assert [await role.publish(), await role.publish()] == [1, 0]
    await log.close()
    (line,) = lines
    expected = {
        "event": "letter.new",
        "log_level": "warning",
        "entity": "customer",
        "key": '{"id":7}',
        "field": "email",
    }
    assert expected.items() <= line.items()
    assert len(line["reason"]) <= REASON_LENGTH
    assert "ada@x" not in str(line)
