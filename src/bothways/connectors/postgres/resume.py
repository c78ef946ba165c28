"""Where the log stands after a restart, so that nothing is appended twice.

The server sends again everything since the last acknowledgement, always whole transactions, in the same order. Each
partition of a topic holds a beginning of what was appended to it, so what is at or below a partition's last position
is there, and what is above is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bothways.connectors.postgres.envelope import Appendable
from bothways.eventlog.codec import POSITION, has_schema
from bothways.eventlog.form import Encoding, Form
from bothways.model.change import Position
from bothways.model.errors import SourceLost
from bothways.ports import Delivered, Partition


class Resume:
    """Leaves out what the log has."""

    def __init__(self, last: Mapping[Partition, Position], partition_of: Callable[[str, bytes | None], int]) -> None:
        self._last = {partition: position.order for partition, position in last.items()}
        self._highest = max(self._last.values(), default=())
        self._partition_of = partition_of

    @property
    def over(self) -> bool:
        """Everything that comes now is new."""
        return not self._last

    def new_of(self, messages: Sequence[Appendable]) -> list[Appendable]:
        """The messages that the log does not have yet."""
        new: list[Appendable] = []
        order: tuple[int, ...] = ()
        for message in messages:
            topic, key, _, headers = message
            order = _order(headers)
            last = self._last.get((topic, self._partition_of(topic, key)), ())
            if order > last:
                new.append(message)
        if order > self._highest:
            self._last.clear()
        return new


def last_positions(
    tails: Mapping[Partition, Delivered], source: str, wal_end: int, past: Mapping[str, int] | None = None
) -> dict[Partition, Position]:
    """The last position of each partition. Raises ``SourceLost`` where they are not of this server's past.

    ``past``: the timelines that this one came from, and where each was left (``Server.past``).
    """
    last: dict[Partition, Position] = {}
    for partition, delivered in tails.items():
        header = delivered.header(POSITION)
        if header is None:
            continue
        position = Position.parse(header.decode())
        left = (past or {}).get(position.source, 0)
        if left and position.order[0] >= left:
            raise SourceLost(
                f"the topic {delivered.topic} holds changes that this server never had: it left their timeline at"
                f" {left}, and {position.order[0]} lies after that. A standby was promoted that had not got everything,"
                " or a backup was restored",
                hint=_HINT,
            )
        if position.source != source and not left:
            raise SourceLost(
                f"the topic {delivered.topic} holds changes of another server, or of another timeline of it"
                f" ({position.source}; this one is {source}): was the database restored or moved?",
                hint=_HINT,
            )
        if position.order[0] > wal_end:
            raise SourceLost(
                f"the topic {delivered.topic} holds changes that the server does not know of yet"
                f" ({position.order[0]} lies beyond the end of its WAL, {wal_end}): was the database restored?",
                hint=_HINT,
            )
        last[partition] = position
    return last


def left_off(
    tails: Mapping[Partition, Delivered], source: str, wal_end: int, past: Mapping[str, int], form: Form
) -> Mapping[Partition, Position]:
    """``last_positions``; none where keys lie in other partitions now, so that what comes again cannot be told."""
    last = last_positions(tails, source, wal_end, past)
    return last if same_form(tails.values(), form) else {}


def same_form(tails: Iterable[Delivered], form: Form) -> bool:
    """Whether the last messages were written with the same settings, as far as they tell.

    With other settings a record's key is other bytes, and lies in another partition. Then a partition's end says
    nothing of what it holds: what the server sends again has to be appended again. It was acknowledged but for a crash.
    """
    return all(_form(each) in (None, form) for each in tails if each.header(POSITION) is not None)


def _form(message: Delivered) -> Form | None:
    if message.value is None:  # a tombstone shows one thing only, and seldom is the last message
        return None
    encoding = Encoding.DEBEZIUM if b',"ts_ns":' in message.value[-40:] else Encoding.READABLE
    return Form(encoding, has_schema(message.key or b""))


_HINT = (
    "changes may be missing here or there, so it is not read on; set another [log] prefix (or delete the topics), then"
    " run `bothways setup` and `bothways backfill`"
)


def _order(headers: list[tuple[str, bytes]]) -> tuple[int, ...]:
    return Position.parse(headers[0][1].decode()).order
