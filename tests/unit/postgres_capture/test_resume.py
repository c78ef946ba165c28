"""Nothing is appended twice, and nothing is left out that the log does not have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.connectors.postgres.envelope import Appendable
from bothways.connectors.postgres.resume import Resume, last_positions
from bothways.eventlog.codec import POSITION
from bothways.model.change import Position
from bothways.model.errors import SourceLost
from bothways.ports import Delivered, Partition

PARTITIONS = 3


def partition_of(topic: str, key: bytes | None) -> int:
    """Any rule that goes by the key."""
    return 0 if key is None else key[0] % PARTITIONS


def message(key: int | None, *order: int) -> Appendable:
    """One at this position."""
    return ("changes", None if key is None else bytes([key]), b"{}", [(POSITION, str(Position("7-1", order)).encode())])


def tail(position: str | None, partition: int = 0) -> dict[Partition, Delivered]:
    """What the log says of a partition's end."""
    headers = () if position is None else ((POSITION, position.encode()),)
    return {("changes", partition): Delivered("changes", partition, 5, b"k", b"{}", headers, 0)}


@given(st.data())
def test_the_rest_of_each_partition_is_appended(data: st.DataObject) -> None:
    """Whatever beginning of each partition the log kept: with what is appended now, it has all, in order, once."""
    sent: list[Appendable] = []
    for transaction in range(data.draw(st.integers(1, 6))):
        for index in range(data.draw(st.integers(1, 4))):
            parts = [(), (1,), (2,)][: data.draw(st.integers(1, 3))]
            sent += [message(data.draw(st.none() | st.integers(0, 9)), transaction, index, *part) for part in parts]
    partitions: dict[int, list[Appendable]] = {n: [] for n in range(PARTITIONS)}
    for each in sent:
        partitions[partition_of("changes", each[1])].append(each)
    kept = {n: found[: data.draw(st.integers(0, len(found)))] for n, found in partitions.items()}
    last = {("changes", n): Position.parse(found[-1][3][0][1].decode()) for n, found in kept.items() if found}
    resume = Resume(last, partition_of)
    middle = data.draw(st.integers(0, len(sent)))
    new = resume.new_of(sent[:middle]) + resume.new_of(sent[middle:])
    for n in range(PARTITIONS):
        assert kept[n] + [each for each in new if partition_of("changes", each[1]) == n] == partitions[n]


def test_it_is_over_past_the_highest_position() -> None:
    """From then on nothing is compared any more."""
    resume = Resume({("changes", 1): Position("7-1", (10, 1))}, partition_of)
    assert not resume.over
    assert resume.new_of([message(1, 10, 1)]) == []
    assert not resume.over
    assert len(resume.new_of([message(1, 10, 2)])) == 1
    assert resume.over


def test_an_empty_log_leaves_nothing_out() -> None:
    """The first start."""
    assert Resume({}, partition_of).over


def test_the_ends_of_partitions_are_read() -> None:
    """Messages without a position are somebody else's."""
    assert last_positions(tail("7-1:100:2:1"), "7-1", 100) == {("changes", 0): Position("7-1", (100, 2, 1))}
    assert last_positions(tail(None), "7-1", 100) == {}


@pytest.mark.parametrize("position", ["8-1:100:0", "7-2:100:0"])
def test_another_server_or_timeline_is_refused(position: str) -> None:
    """A database that was restored elsewhere, or failed over."""
    with pytest.raises(SourceLost, match="another server"):
        last_positions(tail(position), "7-1", 1000)


def test_a_server_that_stands_behind_the_log_is_refused() -> None:
    """A database that was set back: it would give positions a second time."""
    with pytest.raises(SourceLost, match="does not know of yet") as caught:
        last_positions(tail("7-1:1001:0"), "7-1", 1000)
    assert "bothways backfill" in caught.value.hint
