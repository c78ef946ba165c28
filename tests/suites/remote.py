"""What every remote system must do, whatever it is: ``ports.Remote`` and ``ports.RemoteSearch``.

An adapter's tests inherit ``RemoteSuite`` and give it a fixture ``bench``: the adapter, and hands on the system behind
it.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Protocol

import pytest

from bothways.model.errors import FateUnknown, Unavailable
from bothways.model.link import Attempt, Call, Window
from bothways.model.record import Mark, RecordId
from bothways.model.values import Value, Values
from bothways.ports import Remote, RemoteSearch
from bothways.sync.mapping import lookup

_numbers = itertools.count(1)


class Searched(Remote, RemoteSearch, Protocol):
    """What is tested."""


class Bench(ABC):
    """The adapter under test, and what a person, or bad luck, does to the system behind it."""

    remote: Searched
    system = "stripe"
    object = "customer"
    first = "name"
    second = "description"
    nested = "address.city"
    """Three paths that hold any text, unchanged."""
    searched = "email"
    """A path to match by."""
    one = "ada@example.com"
    other = "bob@example.com"
    """Two values of it."""
    missing_id = "cus_never"
    """An id that nothing ever had."""

    @abstractmethod
    async def edit(self, remote_id: str, patch: Values) -> None:
        """A person's change, by another way than the adapter."""

    @abstractmethod
    async def make(self, patch: Values) -> str:
        """A person's new object; its id."""

    @abstractmethod
    async def drop(self, remote_id: str) -> None:
        """A person's deletion."""

    @abstractmethod
    async def count(self) -> int:
        """How many objects are alive."""

    @abstractmethod
    async def lose_answer(self) -> None:
        """The next write takes effect and is remembered; its answer is lost."""

    @abstractmethod
    async def store_failure(self, *, after_effect: bool) -> None:
        """The next write fails, before or after its effect; the remote stores the failure under its key."""

    @abstractmethod
    async def now(self) -> float:
        """The remote's clock, Unix seconds."""

    def attempt(self, call: Call, remote_id: str | None = None, patch: Values | None = None) -> Attempt:
        """A call with a key of its own."""
        number = next(_numbers)
        mark = Mark("here", f"token-{time.time_ns()}-{number}", f'{{"id":{number}}}') if call is Call.CREATE else None
        return Attempt(
            key=f"key-{time.time_ns()}-{number}",
            call=call,
            system=self.system,
            object=self.object,
            remote_id=remote_id,
            patch=patch or {},
            columns={},
            saw={},
            mark=mark,
            record=RecordId("customer", f'{{"id":{number}}}'),
            generation=0,
            at=time.time(),
        )

    async def show(self, remote_id: str, path: str) -> Value:
        """The field as it is now."""
        return lookup((await self.remote.fetch(self.object, remote_id)).object.document, path)


class RemoteSuite:
    """Calls, their repetition and their fate; reads; finding."""

    # ------------------------------------------------------------------------------------------------------ calls

    async def test_a_create_is_answered_with_the_whole_object_and_our_mark(self, bench: Bench) -> None:
        """What was sent, nested paths included, and the mark, as it can be read again later."""
        attempt = bench.attempt(Call.CREATE, patch={bench.first: "Ada", bench.nested: "London"})
        answer = await bench.remote.call(attempt)
        assert answer.object.id
        assert not answer.object.gone
        assert not answer.replayed
        assert lookup(answer.object.document, bench.first) == "Ada"
        assert lookup(answer.object.document, bench.nested) == "London"
        assert answer.object.mark == attempt.mark
        again = await bench.remote.fetch(bench.object, answer.object.id)
        assert again.object.mark == attempt.mark
        assert lookup(again.object.document, bench.nested) == "London"

    async def test_an_update_changes_its_paths_and_no_other(self, bench: Bench) -> None:
        """The answer is the whole object, with what others changed meanwhile."""
        made = await bench.make({bench.first: "Ada", bench.second: "one"})
        await bench.edit(made, {bench.second: "two"})
        answer = await bench.remote.call(bench.attempt(Call.UPDATE, made, {bench.first: "Ada L."}))
        assert lookup(answer.object.document, bench.first) == "Ada L."
        assert lookup(answer.object.document, bench.second) == "two"

    async def test_none_unsets(self, bench: Bench) -> None:
        """A field that is set to None shows none; a create may name one too."""
        created = await bench.remote.call(bench.attempt(Call.CREATE, patch={bench.first: "Ada", bench.second: None}))
        assert lookup(created.object.document, bench.second) is None
        patch: Values = {bench.first: None, bench.nested: None}
        answer = await bench.remote.call(bench.attempt(Call.UPDATE, created.object.id, patch))
        assert lookup(answer.object.document, bench.first) is None
        assert lookup(answer.object.document, bench.nested) is None

    async def test_a_deleted_object_is_gone_for_every_call(self, bench: Bench) -> None:
        """The deletion, its repetition, an update, a read, another deletion: all answer that it is gone."""
        made = await bench.make({bench.first: "Ada"})
        deletion = bench.attempt(Call.DELETE, made)
        for answer in (
            await bench.remote.call(deletion),
            await bench.remote.call(deletion),
            await bench.remote.call(bench.attempt(Call.UPDATE, made, {bench.first: "B"})),
            await bench.remote.fetch(bench.object, made),
            await bench.remote.call(bench.attempt(Call.DELETE, made)),
        ):
            assert answer.object.gone
            assert answer.object.id == made
            assert answer.object.document == {}
        assert await bench.count() == 0

    async def test_what_was_never_there_is_gone(self, bench: Bench) -> None:
        """An answer, no error."""
        answer = await bench.remote.fetch(bench.object, bench.missing_id)
        assert answer.object.gone

    async def test_every_answer_tells_when_it_was_read(self, bench: Bench) -> None:
        """The window holds the remote's time at some moment between sending and answer, and is not wide."""
        made = await bench.make({bench.first: "Ada"})

        async def within(window: Window, before: float) -> None:
            assert window.low <= before
            assert window.high <= await bench.now()
            assert window.high >= int(before)
            assert window.high - window.low <= 3

        before = await bench.now()
        await within((await bench.remote.fetch(bench.object, made)).window, before)
        before = await bench.now()
        answer = await bench.remote.call(bench.attempt(Call.UPDATE, made, {bench.first: "B"}))
        await within(answer.window, before)
        before = await bench.now()
        await within((await bench.remote.page(bench.object, None, 10)).answers[0].window, before)
        before = await bench.now()
        await within((await bench.remote.call(bench.attempt(Call.DELETE, made))).window, before)

    # ------------------------------------------------------------------------------------------------- repetition

    async def test_a_repeated_create_makes_one_object(self, bench: Bench) -> None:
        """The same key, the same object; the second answer says that it is a repetition."""
        attempt = bench.attempt(Call.CREATE, patch={bench.first: "Ada"})
        once = await bench.remote.call(attempt)
        twice = await bench.remote.call(attempt)
        assert twice.replayed
        assert twice.object.id == once.object.id
        assert await bench.count() == 1

    async def test_a_repeated_update_undoes_no_later_edit(self, bench: Bench) -> None:
        """It is answered from memory."""
        made = await bench.make({bench.first: "Ada"})
        attempt = bench.attempt(Call.UPDATE, made, {bench.first: "ours"})
        await bench.remote.call(attempt)
        await bench.edit(made, {bench.first: "theirs"})
        assert (await bench.remote.call(attempt)).replayed
        assert await bench.show(made, bench.first) == "theirs"

    async def test_a_lost_answer_is_had_by_repeating(self, bench: Bench) -> None:
        """The effect happened once, and the repetition tells which object it was."""
        attempt = bench.attempt(Call.CREATE, patch={bench.first: "Ada"})
        await bench.lose_answer()
        with pytest.raises(Unavailable):
            await bench.remote.call(attempt)
        answer = await bench.remote.call(attempt)
        assert answer.replayed
        assert lookup(answer.object.document, bench.first) == "Ada"
        assert await bench.count() == 1

    async def test_a_lost_answer_to_a_deletion_is_had_by_repeating(self, bench: Bench) -> None:
        """It is gone, whoever is asked."""
        made = await bench.make({bench.first: "Ada"})
        attempt = bench.attempt(Call.DELETE, made)
        await bench.lose_answer()
        with contextlib.suppress(Unavailable):  # unless the client repeats by itself what may be repeated
            assert (await bench.remote.call(attempt)).object.gone
        assert (await bench.remote.call(attempt)).object.gone

    async def test_a_key_that_was_used_for_another_body_says_nothing(self, bench: Bench) -> None:
        """The remote refuses to say what the first call did."""
        attempt = bench.attempt(Call.CREATE, patch={bench.first: "Ada"})
        await bench.remote.call(attempt)
        with pytest.raises(FateUnknown):
            await bench.remote.call(replace(attempt, patch={bench.first: "other"}))
        assert await bench.count() == 1

    # ------------------------------------------------------------------------------------------------------- fate

    async def _fail(self, bench: Bench, attempt: Attempt, *, after_effect: bool) -> None:
        """A call whose failure is stored; repeating it never helps."""
        await bench.store_failure(after_effect=after_effect)
        with pytest.raises((Unavailable, FateUnknown)):
            await bench.remote.call(attempt)
        with pytest.raises(FateUnknown):
            await bench.remote.call(attempt)

    async def test_a_stored_failure_before_the_effect_left_no_trace(self, bench: Bench) -> None:
        """No object, no event: a new attempt may be made."""
        attempt = bench.attempt(Call.CREATE, patch={bench.first: "Ada"})
        await self._fail(bench, attempt, after_effect=False)
        assert await bench.remote.fate(attempt) is None
        assert await bench.count() == 0

    async def test_a_stored_failure_after_a_create_is_found(self, bench: Bench) -> None:
        """Which object it made, as it made it, whatever became of that since."""
        attempt = bench.attempt(Call.CREATE, patch={bench.first: "Ada"})
        await self._fail(bench, attempt, after_effect=True)
        found = await bench.remote.fate(attempt)
        assert found is not None
        assert found.mark == attempt.mark
        assert await bench.show(found.id, bench.first) == "Ada"
        await bench.edit(found.id, {bench.first: "theirs"})
        later = await bench.remote.fate(attempt)
        assert later is not None
        assert later.id == found.id
        assert lookup(later.document, bench.first) == "Ada"

    async def test_a_stored_failure_after_an_update_is_found(self, bench: Bench) -> None:
        """The snapshot that the update left."""
        made = await bench.make({bench.first: "Ada"})
        attempt = bench.attempt(Call.UPDATE, made, {bench.first: "ours"})
        await self._fail(bench, attempt, after_effect=True)
        await bench.edit(made, {bench.first: "theirs"})
        found = await bench.remote.fate(attempt)
        assert found is not None
        assert found.id == made
        assert lookup(found.document, bench.first) == "ours"

    async def test_an_update_that_changed_nothing_left_no_trace(self, bench: Bench) -> None:
        """Whoever asks looks at the object then."""
        made = await bench.make({bench.first: "same"})
        attempt = bench.attempt(Call.UPDATE, made, {bench.first: "same"})
        await bench.remote.call(attempt)
        assert await bench.remote.fate(attempt) is None

    async def test_a_deletions_fate_is_found(self, bench: Bench) -> None:
        """Its snapshot is of an object that is gone."""
        made = await bench.make({bench.first: "Ada"})
        attempt = bench.attempt(Call.DELETE, made)
        assert await bench.remote.fate(attempt) is None
        await bench.remote.call(attempt)
        found = await bench.remote.fate(attempt)
        assert found is not None
        assert (found.id, found.gone) == (made, True)

    async def test_another_attempts_effect_is_not_taken_for_ones_own(self, bench: Bench) -> None:
        """Only the key counts, or our mark: never that the values are the same."""
        other = bench.attempt(Call.CREATE, patch={bench.first: "Ada"})
        await bench.remote.call(other)
        assert await bench.remote.fate(bench.attempt(Call.CREATE, patch={bench.first: "Ada"})) is None

    # ---------------------------------------------------------------------------------------------------- finding

    async def test_objects_are_found_by_their_values_at_once(self, bench: Bench) -> None:
        """What was written a moment ago is found; what is deleted is not."""
        one = await bench.make({bench.searched: bench.one, bench.first: "Ada"})
        two = await bench.make({bench.searched: bench.one, bench.first: "Other"})
        await bench.make({bench.searched: bench.other, bench.first: "Ada"})
        by_search = await bench.remote.match(bench.object, {bench.searched: bench.one})
        assert {found.id for found in by_search} == {one, two}
        both: Values = {bench.searched: bench.one, bench.first: "Ada"}
        assert [found.id for found in await bench.remote.match(bench.object, both)] == [one]
        await bench.drop(one)
        assert await bench.remote.match(bench.object, both) == []

    async def test_any_path_can_be_matched(self, bench: Bench) -> None:
        """Also where the remote has no filter for it, and among more objects than fit on a page."""
        for number in range(103):
            await bench.make({bench.first: f"number {number}"})
        oldest = await bench.remote.match(bench.object, {bench.first: "number 0"})
        assert [lookup(found.document, bench.first) for found in oldest] == ["number 0"]
        assert await bench.remote.match(bench.object, {bench.first: "number 103"}) == []

    async def test_no_more_than_the_limit_are_found(self, bench: Bench) -> None:
        """Two say already that a match is not the only one."""
        for _ in range(4):
            await bench.make({bench.searched: bench.one})
        assert len(await bench.remote.match(bench.object, {bench.searched: bench.one})) == 2
        assert len(await bench.remote.match(bench.object, {bench.searched: bench.one}, limit=3)) == 3

    async def test_pages_show_every_live_object_once_the_oldest_last(self, bench: Bench) -> None:
        """From cursor to cursor, as one may be stored and taken up by another process."""
        made = [await bench.make({bench.first: f"number {number}"}) for number in range(7)]
        await bench.drop(made[3])
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await bench.remote.page(bench.object, cursor, 3)
            seen += [answer.object.id for answer in page.answers]
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == [each for each in reversed(made) if each != made[3]]

    async def test_a_scan_goes_on_when_its_place_is_deleted(self, bench: Bench) -> None:
        """What stands behind the deleted object is still shown; what stood before it may come again."""
        made = [await bench.make({bench.first: f"number {number}"}) for number in range(6)]
        first = await bench.remote.page(bench.object, None, 3)
        assert first.cursor is not None
        await bench.drop(first.answers[-1].object.id)
        rest: set[str] = set()
        cursor: str | None = first.cursor
        while cursor is not None:
            page = await bench.remote.page(bench.object, cursor, 3)
            rest |= {answer.object.id for answer in page.answers}
            cursor = page.cursor
        assert set(made[:3]) <= rest
