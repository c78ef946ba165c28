"""Keys go to the partitions that Java's clients choose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.eventlog.murmur2 import murmur2, partition_for

# From UtilsTest of Apache Kafka's clients: signed there, as Java's ints are.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "signed"), JAVA.items())
def test_the_hash_is_that_of_javas_clients(data: bytes, signed: int) -> None:
    """Kafka's own test vectors hold, of every length modulo four that they have."""
    assert murmur2(data) == signed & 0xFFFFFFFF


@given(st.binary(), st.integers(1, 1000))
def test_every_key_has_a_partition(key: bytes, partitions: int) -> None:
    """The sign is cut off before the remainder, as Java does it; a missing key has a fixed place."""
    assert partition_for(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions < partitions
    assert partition_for(None, partitions) == 0
