"""How far a partition may be committed, against a model that is too simple to be wrong."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bothways.flow.dispatch import Offsets
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
