"""Whom a process tells what goes wrong, besides its log."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from bothways.config import Settings
from bothways.insight.log import listening
from bothways.model.errors import BothwaysError, SettingsError


@contextmanager
def reporting(settings: Settings) -> Iterator[None]:
    """While the block runs Sentry is told, where the settings name it.

    Raises ``SettingsError`` where that cannot work, before the block runs.
    """
    insight = settings.insight
    if insight.sentry_dsn is None:
        yield
        return
    if importlib.util.find_spec("sentry_sdk") is None:
        raise SettingsError(
            "insight.sentry_dsn is set, and the package sentry-sdk is not installed",
            hint="pip install 'bothways[sentry]', or leave sentry_dsn out",
        )
    from bothways.insight.sentry import Sentry

    try:
        sentry = Sentry(insight.sentry_dsn.get_secret_value(), insight.sentry_environment)
    except ValueError as error:
        raise SettingsError(
            f"insight.sentry_dsn: {error}",
            hint="Sentry shows it under the project's client keys: https://KEY@HOST/NUMBER",
        ) from None
    try:
        with listening(sentry.heard):
            yield
    except BothwaysError:  # foreseen, and told to whoever started the command
        raise
    except Exception as error:
        sentry.crashed(error)
        raise
    finally:
        sentry.close()
