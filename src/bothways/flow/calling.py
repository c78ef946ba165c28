"""Making an attempt's call, and finding out what became of one whose answer was lost."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.flow.context import Context, RemoteSystem
from bothways.model.errors import FateUnknown
from bothways.model.link import Attempt, Call
from bothways.model.record import RemoteObject
from bothways.model.remote import Answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt did."""

    effect: RemoteObject
    """The object as the call left it."""
    current: Answer
    """A picture that is no older than the call."""
    stale: bool
    """``current`` is a picture of its own: ``effect`` is old news."""


class Caller:
    """One system's calls."""

    def __init__(self, context: Context, system: str) -> None:
        self.context = context
        self.remote: RemoteSystem = context.remotes[system]
        self.system = system

    async def outcome(self, attempt: Attempt, *, fresh: bool) -> Outcome | None:
        """Make the call, or find out what became of it; None: it took no effect."""
        age = self.context.clock.now() - attempt.at
        remembered = self.remote.key_memory_seconds - min(
            self.context.patience.key_margin, self.remote.key_memory_seconds / 4
        )
        if not fresh and age > remembered:
            return await self._fate(attempt)
        try:
            answer = await self.remote.call(attempt)
        except FateUnknown:
            return await self._fate(attempt)
        if answer.replayed and not answer.object.gone:
            current = await self.remote.fetch(attempt.object, answer.object.id)
            return Outcome(answer.object, current, stale=True)
        return Outcome(answer.object, answer, stale=answer.replayed)

    async def _fate(self, attempt: Attempt) -> Outcome | None:
        """Whether it took effect: by the trace that it left, else by the object itself."""
        effect = await self.remote.fate(attempt)
        remote_id = effect.id if effect is not None else attempt.remote_id
        if remote_id is None:
            return None
        current = await self.remote.fetch(attempt.object, remote_id)
        if effect is None and (current.object.gone or self._shows(attempt, current.object)):
            effect = current.object
        return Outcome(effect, current, stale=True) if effect is not None else None

    def _shows(self, attempt: Attempt, shown: RemoteObject) -> bool:
        """The object is as the call would have left it: then it changed nothing, or it does not matter that it did."""
        if attempt.call is Call.DELETE:
            return False
        mapping = self.context.mappings[attempt.record.entity, self.system]
        seen = mapping.read(shown.document)
        sent = {each.column: attempt.patch.get(each.path) for each in mapping.fields if each.column in attempt.columns}
        return bool(sent) and all(seen[column] == value for column, value in sent.items())
