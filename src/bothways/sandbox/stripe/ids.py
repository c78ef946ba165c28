"""Ids in Stripe's format: a prefix and letters and digits."""

from __future__ import annotations

import random
import string

ALPHABET = string.ascii_letters + string.digits


class Ids:
    """Makes ids; repeatable if its random numbers are."""

    def __init__(self, chances: random.Random) -> None:
        self._chances = chances

    def make(self, prefix: str, length: int) -> str:
        """As ``cus_NffrFeUfNV2Hib``."""
        return prefix + "_" + "".join(self._chances.choices(ALPHABET, k=length))

    def invoice_prefix(self) -> str:
        """Eight capital letters and digits, as Stripe gives each customer."""
        return f"{self._chances.getrandbits(32):08X}"
