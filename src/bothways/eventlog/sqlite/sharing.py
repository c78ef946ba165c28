"""Who reads which partition: fair, and with as few moves as that takes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set


def share(partitions: Mapping[int, str], members: Mapping[str, Set[str]], owners: Mapping[int, str]) -> dict[int, str]:
    """Partition → member, for every partition whose topic somebody reads.

    ``partitions`` have their topics, ``members`` the topics that they read. Whoever owns a partition keeps it, but for
    what makes the difference between any two members, who could take it, at most one. The same input gives the same
    answer, so that every member can compute it by itself.
    """
    eligible = {p: sorted(m for m in members if topic in members[m]) for p, topic in sorted(partitions.items())}
    given = {p: owners[p] for p, candidates in eligible.items() if owners.get(p) in candidates}
    load = Counter(given.values())
    for partition, candidates in eligible.items():
        if candidates and partition not in given:
            member = min(candidates, key=lambda m: (load[m], m))
            given[partition] = member
            load[member] += 1
    _level(given, load, eligible, owners)
    return given


def _level(
    given: dict[int, str], load: Counter[str], eligible: Mapping[int, list[str]], owners: Mapping[int, str]
) -> None:
    """Move partitions to members that have at least two fewer, those that nobody holds yet first."""
    moved = True
    while moved:
        moved = False
        for partition in sorted(given, key=lambda p: (p in owners, p)):
            least = min(eligible[partition], key=lambda m: (load[m], m))
            if load[given[partition]] - load[least] >= 2:
                load[given[partition]] -= 1
                load[least] += 1
                given[partition] = least
                moved = True
