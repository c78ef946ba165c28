"""How far a partition may be committed, against a model that is too simple to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bothways.flow.dispatch import Offsets
from bothways.model.errors import Unavailable
from bothways.ports import Partition

PARTITIONS: list[Partition] = [("t", 0), ("t", 1), ("u", 0)]


class OffsetsAgainstModel(RuleBasedStateMachine):
    """The model keeps every begun offset in a set, and searches it."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = Offsets()
        self.open: dict[Partition, set[int]] = {}
        self.highest: dict[Partition, int] = {}

    @rule(partition=st.sampled_from(PARTITIONS), gap=st.integers(1, 3))
    def began(self, partition: Partition, gap: int) -> None:
        """The next message comes, perhaps after a gap."""
        offset = self.highest.get(partition, -1) + gap
        self.offsets.began(partition, offset)
        self.open.setdefault(partition, set()).add(offset)
        self.highest[partition] = offset

    @rule(partition=st.sampled_from(PARTITIONS), back=st.integers(0, 5))
    def came_back(self, partition: Partition, back: int) -> None:
        """The partition is read again from an earlier offset."""
        if partition in self.highest:
            offset = max(0, self.highest[partition] - back)
            self.offsets.began(partition, offset)
            self.open[partition] = {offset}
            self.highest[partition] = offset

    @rule(partition=st.sampled_from(PARTITIONS), back=st.integers(-2, 8))
    def finished(self, partition: Partition, back: int) -> None:
        """Some offset is done: an open one, one that was done before, or one that nobody knows."""
        offset = self.highest.get(partition, 0) - back
        self.offsets.finished(partition, offset)
        self.open.get(partition, set()).discard(offset)

    @rule(partitions=st.lists(st.sampled_from(PARTITIONS)))
    def forget(self, partitions: list[Partition]) -> None:
        """Partitions are taken away."""
        self.offsets.forget(partitions)
        for partition in partitions:
            self.open.pop(partition, None)
            self.highest.pop(partition, None)

    @invariant()
    def agrees(self) -> None:
        """The lowest open offset, else the one after the highest."""
        expected = {p: min(self.open[p], default=self.highest[p] + 1) for p in self.highest}
        assert self.offsets.committable() == expected


TestOffsets = OffsetsAgainstModel.TestCase
TestOffsets.settings = settings(max_examples=100, stateful_step_count=40)


def test_late_work_moves_nothing() -> None:
    """Work that ends after its partition was taken away does not make the partition known again."""
    offsets = Offsets()
    offsets.began(("t", 0), 5)
    offsets.forget([("t", 0)])
    offsets.finished(("t", 0), 5)
    assert offsets.committable() == {}


async def test_what_has_moved_is_committed_once() -> None:
    """And again where it failed."""
    offsets, said = Offsets(), Commits()
    offsets.began(PARTITIONS[0], 4)
    said.fails = True
    with pytest.raises(Unavailable):
        await offsets.commit(said)
    said.fails = False
    await offsets.commit(said)
    await offsets.commit(said)
    offsets.finished(PARTITIONS[0], 4)
    await offsets.commit(said)
    await offsets.commit(said)
    assert said.all == [{PARTITIONS[0]: 4}, {PARTITIONS[0]: 5}]


@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_partition_that_came_back_is_committed_once_more(when: str) -> None:
    """The commit from before may have been refused, as late: nothing would ever say how far the partition is done."""
    offsets, said = Offsets(), Commits()

    def comes_back() -> None:
        offsets.forget([PARTITIONS[0]])
        offsets.began(PARTITIONS[0], 0)
        offsets.finished(PARTITIONS[0], 0)

    offsets.began(PARTITIONS[0], 0)
    offsets.finished(PARTITIONS[0], 0)
    if when == "during":
        said.meanwhile = comes_back
    await offsets.commit(said)
    if when == "before":
        comes_back()
    said.meanwhile = None
    await offsets.commit(said)
    await offsets.commit(said)
    assert said.all == [{PARTITIONS[0]: 1}, {PARTITIONS[0]: 1}]


class Commits:
    """A consumer that commits."""

    def __init__(self) -> None:
        self.all: list[Mapping[Partition, int]] = []
        self.fails = False
        self.meanwhile: Callable[[], None] | None = None

    async def __call__(self, offsets: Mapping[Partition, int]) -> None:
        if self.fails:
            raise Unavailable("no broker")
        if self.meanwhile is not None:
            self.meanwhile()
        self.all.append(offsets)
