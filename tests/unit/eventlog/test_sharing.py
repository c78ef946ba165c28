"""Partitions are shared fairly and moved rarely."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bothways.eventlog.sqlite.sharing import share

TOPICS = ["customers", "invoices"]
partitions = st.dictionaries(st.integers(1, 20), st.sampled_from(TOPICS))
members = st.dictionaries(st.sampled_from("abcde"), st.frozensets(st.sampled_from(TOPICS), min_size=1))
owners = st.dictionaries(st.integers(1, 20), st.sampled_from("abcdexyz"))


@given(partitions, members, owners)
def test_every_partition_has_one_reader_who_reads_its_topic(
    partitions: dict[int, str], members: dict[str, frozenset[str]], owners: dict[int, str]
) -> None:
    """None is left out while somebody reads its topic."""
    shares = share(partitions, members, owners)
    read = frozenset().union(*members.values())
    assert shares.keys() == {p for p, topic in partitions.items() if topic in read}
    assert all(partitions[p] in members[member] for p, member in shares.items())


@given(partitions, members, owners)
def test_nobody_could_give_to_somebody_who_has_less(
    partitions: dict[int, str], members: dict[str, frozenset[str]], owners: dict[int, str]
) -> None:
    """Of any two who could read a partition, its reader has at most one more."""
    shares = share(partitions, members, owners)
    load = Counter(shares.values())
    for partition, member in shares.items():
        for other, topics in members.items():
            if partitions[partition] in topics:
                assert load[member] - load[other] <= 1


@given(partitions, members, owners)
def test_a_fair_share_stays_as_it_is(
    partitions: dict[int, str], members: dict[str, frozenset[str]], owners: dict[int, str]
) -> None:
    """Once shared, nothing moves while nobody comes or goes: each member that computes it comes to the same."""
    shares = share(partitions, members, owners)
    assert share(partitions, members, shares) == shares


@given(st.integers(1, 30), st.integers(1, 6))
def test_a_newcomer_takes_no_more_than_its_part(count: int, readers: int) -> None:
    """When one joins a group of equals, only what it gets changes hands."""
    topics = dict.fromkeys(range(count), "t")
    before = share(topics, {f"m{n}": frozenset({"t"}) for n in range(readers)}, {})
    after = share(topics, {f"m{n}": frozenset({"t"}) for n in range(readers + 1)}, before)
    moved = {p for p in topics if before[p] != after[p]}
    assert {after[p] for p in moved} <= {f"m{readers}"}
    assert len(moved) == count // (readers + 1)
