"""What can go wrong, as one tree.

::

    BothwaysError            everything that bothways raises on purpose; ``hint`` says what to do
    ├── SettingsError        the settings cannot work
    ├── Transient            may work when tried again; ``retry_after`` seconds if the other side said so
    │   ├── Unavailable      the other side does not answer, or answers 5xx
    │   ├── RateLimited      the other side asks for fewer calls
    │   └── Busy             a lock, a deadlock, a lost connection of the database
    ├── FateUnknown          a repeated call cannot tell whether the first one took effect
    ├── Refused              this record will never be accepted as it is; ``field`` where it is known
    │   ├── RowRefused       … by the database
    │   └── CallRefused      … by the remote system
    ├── NotUnique            a unique constraint: there is such a row already
    ├── Forbidden            the key or the login is refused: nothing of this system can work
    ├── SourceLost           the slot, its WAL or its server is not the one that was read before
    ├── MappingBroken        a mapped column or table is not there any more
    ├── WebhookRefused       what was posted is not taken; ``status`` is the HTTP answer
    ├── UnknownEntity        no entity of that name in the settings
    └── NoSuchRecord         no record with that key
"""

from __future__ import annotations


class BothwaysError(Exception):
    """The root: a message for people, and a hint that says what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} ({self.hint})" if self.hint else message

    @property
    def message(self) -> str:
        """The message without its hint."""
        return super().__str__()


class SettingsError(BothwaysError):
    """The settings cannot work; the message names the place and what to write instead."""


class Transient(BothwaysError):
    """May work when tried again."""

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unavailable(Transient):
    """No answer, or one that says that the other side is in trouble. The call may have taken effect."""


class RateLimited(Transient):
    """The other side asks for fewer calls; the call took no effect."""


class Busy(Transient):
    """A lock time-out, a deadlock or a lost connection: the transaction left nothing behind, or its fate is unknown."""


class FateUnknown(BothwaysError):
    """The remote cannot say what the call did: it repeats a stored failure, or knows the key with another body."""


class Refused(BothwaysError):
    """This record is not accepted as it is; other records are not touched by that."""

    def __init__(self, message: str, *, hint: str = "", field: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class RowRefused(Refused):
    """The database refuses the row: a constraint, a type, a length. ``field`` is the column."""


class CallRefused(Refused):
    """The remote refuses the call: a validation error. ``field`` is the remote's path, as ``address.city``."""

    def __init__(self, message: str, *, hint: str = "", field: str | None = None, status: int = 400) -> None:
        super().__init__(message, hint=hint, field=field)
        self.status = status


class NotUnique(BothwaysError):
    """A unique constraint was broken; ``constraint`` names it."""

    def __init__(self, message: str, *, hint: str = "", constraint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.constraint = constraint


class Forbidden(BothwaysError):
    """The key, login or permission is refused: the whole system pauses, no record is to blame."""


class SourceLost(BothwaysError):
    """The source cannot be read on from where the log stands; the hint says what to do."""


class MappingBroken(BothwaysError):
    """A mapped table or column is gone: the entity stops, nothing is dead-lettered. ``entity`` where it is known."""

    def __init__(self, message: str, *, hint: str = "", entity: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.entity = entity


class WebhookRefused(BothwaysError):
    """A webhook that is not taken: forged, too old, malformed, for another mode. ``status`` is the answer, a 4xx."""

    def __init__(self, status: int, reason: str, *, hint: str = "") -> None:
        super().__init__(reason, hint=hint)
        self.status = status


class UnknownEntity(BothwaysError):
    """The settings have no entity of that name."""


class NoSuchRecord(BothwaysError):
    """There is no record with that key."""
