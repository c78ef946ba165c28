"""Partitions are shared fairly and moved rarely."""

from __future__ import annotations

import random
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


equals = st.integers(1, 4)
of_topics = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@given(equals, of_topics, owners)
def test_each_topic_is_shared_fairly_among_equals(count: int, sizes: list[int], owners: dict[int, str]) -> None:
    """All of the work may be in one topic: who has only others of its size would do nothing."""
    topics = named(sizes)
    members = {name: frozenset(topics.values()) for name in "abcd"[:count]}
    assert is_fair(share(topics, members, owners), topics, members)


@given(equals, of_topics, owners, st.integers())
def test_members_come_to_rest(count: int, sizes: list[int], owners: dict[int, str], seed: int) -> None:
    """They look and let go one after the other in any order, so each decides in the midst of others' moves."""
    chance = random.Random(seed)
    topics = named(sizes)
    members = {name: frozenset(topics.values()) for name in "abcd"[:count]}
    held = {p: owner for p, owner in owners.items() if p in topics and owner in members}
    surplus: dict[str, list[int]] = {name: [] for name in members}
    for _ in range(4 * len(topics) + 20):
        for name in chance.choices(sorted(members), k=count):
            if surplus[name]:
                for partition in surplus[name]:
                    del held[partition]
                surplus[name] = []
            else:
                shares = share(topics, members, held)
                held |= {p: name for p, to in shares.items() if to == name and p not in held}
                surplus[name] = [p for p, holder in held.items() if holder == name and shares[p] != name]
    assert not any(surplus.values())
    assert held.keys() == topics.keys()
    assert is_fair(held, topics, members)


def named(sizes: list[int]) -> dict[int, str]:
    """Partitions of topics of these sizes, one topic's after the other's."""
    names = [f"t{number}" for number, size in enumerate(sizes) for _ in range(size)]
    return dict(enumerate(names, 1))


def is_fair(shares: dict[int, str], topics: dict[int, str], members: dict[str, frozenset[str]]) -> bool:
    """Whether nobody has two more than another, of each topic and of all."""
    for wanted in ({topic} for topic in {*topics.values()}), ({*topics.values()},):
        for some in wanted:
            load = Counter(holder for p, holder in shares.items() if topics[p] in some)
            if max(load[name] for name in members) - min(load[name] for name in members) > 1:
                return False
    return True
