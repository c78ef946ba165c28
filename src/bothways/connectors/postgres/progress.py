"""How far the log is sure to have what the server sent, and so what may be acknowledged."""

from __future__ import annotations

from collections import deque


class Progress:
    """Positions that wait for the log. Only positions that the server named itself come in, and so go out."""

    def __init__(self, confirmed_lsn: int = 0) -> None:
        self.confirmed_lsn = confirmed_lsn
        """Everything before this position lies on the log."""
        self._waiting: deque[tuple[int, int]] = deque()

    @property
    def waits(self) -> bool:
        """Whether something is not durable yet."""
        return bool(self._waiting)

    def reached(self, number: int, lsn: int) -> None:
        """With the log's message of this number, everything before the position has been appended."""
        if self._waiting and self._waiting[-1][0] == number:
            _, last = self._waiting.pop()
            lsn = max(lsn, last)
        if lsn > self.confirmed_lsn:
            self._waiting.append((number, lsn))

    def settle(self, durable: int) -> None:
        """The log has the messages up to this number."""
        while self._waiting and self._waiting[0][0] <= durable:
            _, lsn = self._waiting.popleft()
            self.confirmed_lsn = max(self.confirmed_lsn, lsn)
