"""Who reads which partition: fair, and with as few moves as that takes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from itertools import permutations


def share(partitions: Mapping[int, str], members: Mapping[str, Set[str]], owners: Mapping[int, str]) -> dict[int, str]:
    """Partition → member, for every partition whose topic somebody reads.

    ``partitions`` have their topics, ``members`` the topics that they read. Whoever owns a partition keeps it, but for
    what makes the difference between any two members, who could take it, at most one; among members that read the same
    topics that holds for each topic, too: one topic may have all of the work. The same input gives the same answer, so
    that every member can compute it by itself.
    """
    shares = _Shares(partitions, members, owners)
    shares.give_what_is_free()
    while shares.move() or shares.exchange():
        pass
    return shares.given


class _Shares:
    """Who has what, on the way to what is fair."""

    def __init__(
        self, partitions: Mapping[int, str], members: Mapping[str, Set[str]], owners: Mapping[int, str]
    ) -> None:
        read = frozenset().union(*members.values())
        self._topics = {p: topic for p, topic in sorted(partitions.items()) if topic in read}
        self._members = {name: members[name] for name in sorted(members)}
        self._owners = owners
        self.given = {p: owners[p] for p, t in self._topics.items() if t in members.get(owners.get(p, ""), ())}
        self._load = Counter(self.given.values())
        self._of_topic = Counter((member, self._topics[p]) for p, member in self.given.items())

    def give_what_is_free(self) -> None:
        """To those who have the least of its topic."""
        for partition, topic in self._topics.items():
            if partition not in self.given:
                able = [member for member, read in self._members.items() if topic in read]
                self._give(partition, min(able, key=lambda m: (self._of_topic[m, topic], self._load[m])))

    def move(self) -> bool:
        """One partition to a member that has at least two fewer, of the topic where that evens out the most."""
        for giver, taker in self._pairs():
            if self._load[giver] - self._load[taker] >= 2:
                partition = self._best(giver, taker, least=-len(self._topics))
                if partition is not None:
                    self._give(partition, taker)
                    return True
        return False

    def exchange(self) -> bool:
        """Between two members a partition of a topic of which one has two more, and one of which the other has more."""
        for giver, taker in self._pairs():
            there, back = self._best(giver, taker, least=2), self._best(taker, giver, least=1)
            if there is not None and back is not None:
                self._give(there, taker)
                self._give(back, giver)
                return True
        return False

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """Who could give to whom, the fullest and the emptiest first."""
        names = sorted(self._members, key=lambda m: -self._load[m])
        return iter(sorted(permutations(names, 2), key=lambda pair: self._load[pair[1]] - self._load[pair[0]]))

    def _best(self, giver: str, taker: str, *, least: int) -> int | None:
        """A partition of the topic that both read and of which the giver has the most more, if it has so many more."""
        more = {
            topic: self._of_topic[giver, topic] - self._of_topic[taker, topic]
            for topic in sorted(self._members[giver] & self._members[taker])
            if self._of_topic[giver, topic]
        }
        topic = max(more, key=more.__getitem__, default=None)
        if topic is None or more[topic] < least:
            return None
        able = (p for p, member in self.given.items() if member == giver and self._topics[p] == topic)
        return min(able, key=lambda p: (p in self._owners, p))

    def _give(self, partition: int, member: str) -> None:
        topic, before = self._topics[partition], self.given.get(partition)
        if before is not None:
            self._load[before] -= 1
            self._of_topic[before, topic] -= 1
        self.given[partition] = member
        self._load[member] += 1
        self._of_topic[member, topic] += 1
