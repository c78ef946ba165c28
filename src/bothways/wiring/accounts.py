"""The account at a remote system that the links belong to: in another one all records would seem deleted."""

from __future__ import annotations

from bothways.model.errors import SettingsError
from bothways.model.values import Value
from bothways.ports import Catalogue


def checkpoint(system: str) -> str:
    """The checkpoint that holds the account that the first call was made in."""
    return f"account:{system}"


async def remember_account(catalogue: Catalogue, system: str, account: str | None) -> None:
    """Keep it with the first call. Raises ``SettingsError`` for another; None is a key that may not say."""
    if account is None:
        return
    async with catalogue.transaction() as transaction:
        known = await transaction.checkpoints.load(checkpoint(system))
        if known is None:
            await transaction.checkpoints.store(checkpoint(system), account)
    _refuse_another(system, known, account)


async def check_account(catalogue: Catalogue, system: str, account: str | None) -> None:
    """The same for what only looks: nothing is kept."""
    if account is None:
        return
    async with catalogue.transaction() as transaction:
        known = await transaction.checkpoints.load(checkpoint(system))
    _refuse_another(system, known, account)


def _refuse_another(system: str, known: Value, account: str) -> None:
    if known is not None and known != account:
        raise SettingsError(
            f"the key of {system} belongs to the account {account}, the links were made with {known}",
            hint="use a key of that account, or run teardown first to begin anew with the other",
        )
