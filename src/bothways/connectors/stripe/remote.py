"""Stripe as a remote system: calls, reads and finding."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bothways.connectors.stripe.client import Admit, Reply, StripeApi, Transport, object_path
from bothways.connectors.stripe.fate import archive_key, find_fate
from bothways.connectors.stripe.fields import ObjectType
from bothways.connectors.stripe.lists import Cursor, read_all, read_page
from bothways.connectors.stripe.objects import object_type
from bothways.connectors.stripe.params import Params, archive_params, completed, read_object, wholes, write_params
from bothways.model.errors import CallRefused, Unavailable
from bothways.model.link import Attempt, Call
from bothways.model.record import RemoteObject
from bothways.model.remote import Answer
from bothways.model.values import Values
from bothways.ports import Pace, RemotePage
from bothways.sync.mapping import lookup

API_BASE = "https://api.stripe.com"

KEY_MEMORY_SECONDS = 24 * 3600 - 1800.0
"""Stripe forgets keys after 24 hours at the earliest, less a margin (https://docs.stripe.com/api/idempotent_requests)."""

_LOOKS = 3


class StripeRemote:
    """``ports.Remote`` and ``ports.RemoteSearch`` over Stripe's SDK.

    Deletions are idempotent by themselves, so a repeated one is answered afresh, never replayed. An object that Stripe
    will not delete is archived, if its description says how, and counts as gone from then on.
    """

    def __init__(
        self,
        system: str,
        api_key: str,
        api_base: str,
        pace: Pace,
        installation: str,
        *,
        settle_seconds: float = 3.0,
        transport: Transport | None = None,
        admit: Admit | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``settle_seconds``: how far Stripe's lists may run behind its calls, at most."""
        self.system = system
        self.installation = installation
        self.api = StripeApi(api_key, api_base, pace, transport, admit, clock)
        self._settle_seconds = settle_seconds
        self._clock = clock

    @property
    def livemode(self) -> bool:
        """Whether the key is a live one."""
        return self.api.livemode

    @property
    def key_memory_seconds(self) -> float:
        return KEY_MEMORY_SECONDS

    async def close(self) -> None:
        """Let the connections go."""
        await self.api.close()

    async def account(self) -> str | None:
        """The id of the account that the key belongs to; None where a restricted key may not read it.

        In another account none of the records would be there, as if all had been deleted.
        """
        return await self.api.account()

    async def call(self, attempt: Attempt) -> Answer:
        described = object_type(attempt.object)
        if attempt.call is Call.CREATE:
            params = write_params(described, Call.CREATE, attempt.patch, attempt.mark)
            reply = await self.api.request(
                "post", described.path, params, key=attempt.key, described=described, patch=attempt.patch
            )
            return self._answer(reply, described, "")
        assert attempt.remote_id is not None, "an update or deletion is of an object"
        if attempt.call is Call.UPDATE:
            return await self._update(described, attempt, attempt.remote_id)
        return await self._delete(described, attempt, attempt.remote_id)

    async def fetch(self, object: str, remote_id: str) -> Answer:
        described = object_type(object)
        reply = await self.api.request("get", object_path(described, remote_id), one=True, described=described)
        return self._answer(reply, described, remote_id)

    async def fate(self, attempt: Attempt) -> RemoteObject | None:
        """As the port says. Reads Stripe's events and objects since the attempt, again after a moment if in doubt."""
        age = max(0.0, self._clock() - attempt.at)
        looks = 1 if age > KEY_MEMORY_SECONDS else _LOOKS
        wait_seconds = self._settle_seconds / (_LOOKS - 1)
        return await find_fate(self.api, attempt, age=age, looks=looks, wait_seconds=wait_seconds)

    async def match(self, object: str, equal: Values, *, limit: int = 2) -> Sequence[RemoteObject]:
        """As the port says; the newest first.

        One call where Stripe's list can filter (a customer's e-mail, exact and case-sensitive; a product's URL).
        Anything else reads the whole list, a call for each hundred objects, every time: nothing is kept between calls,
        since what is kept would be old.
        """
        described = object_type(object)
        if not equal:
            raise ValueError("nothing to match by")
        params: Params = {
            described.list_filters[path]: value
            for path, value in equal.items()
            if path in described.list_filters and isinstance(value, str) and value
        }
        found: list[RemoteObject] = []
        async for page in read_all(self.api, described.path, params):
            for document in page.documents:
                self.api.check_mode(document)
                if all(lookup(document, path) == value for path, value in equal.items()):
                    shown = read_object(document, described)
                    found += [] if shown.gone else [shown]
                if len(found) == limit:
                    return found
        return found

    async def page(self, object: str, cursor: str | None, limit: int) -> RemotePage:
        described = object_type(object)
        page = await read_page(self.api, described.path, {}, Cursor.parse(cursor) if cursor else None, limit)
        answers = [self._answer(replace(page.reply, document=d), described, "") for d in page.documents]
        live = [answer for answer in answers if not answer.object.gone]
        return RemotePage(live, str(page.next) if page.next else None)

    async def _update(self, described: ObjectType, attempt: Attempt, remote_id: str) -> Answer:
        patch = attempt.patch
        if wholes(described, patch):
            current = await self.fetch(attempt.object, remote_id)
            if current.object.gone:
                return current
            patch = completed(described, patch, current.object.document)
        params = write_params(described, Call.UPDATE, patch, None)
        path = object_path(described, remote_id)
        reply = await self.api.request(
            "post", path, params, key=attempt.key, one=True, described=described, patch=attempt.patch
        )
        return self._answer(reply, described, remote_id)

    async def _delete(self, described: ObjectType, attempt: Attempt, remote_id: str) -> Answer:
        path = object_path(described, remote_id)
        try:
            reply = await self.api.request("delete", path, key=attempt.key, one=True, described=described)
        except CallRefused as refused:
            if described.archive is None or refused.status != 400:
                raise
            params, key = archive_params(described), archive_key(attempt.key)
            reply = await self.api.request("post", path, params, key=key, one=True, described=described)
            return replace(self._answer(reply, described, remote_id), object=RemoteObject(remote_id, gone=True))
        return self._answer(reply, described, remote_id)

    def _answer(self, reply: Reply, described: ObjectType, remote_id: str) -> Answer:
        if reply.document is None:
            shown = RemoteObject(remote_id, gone=True)
        else:
            self.api.check_mode(reply.document)
            try:
                shown = read_object(reply.document, described)
            except ValueError as error:
                raise Unavailable(f"Stripe's answer cannot be read: {error}") from None
        return Answer(shown, reply.window, reply.replayed, reply.request_id)
