"""What can be set about a sandbox."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """One sandbox's settings. The defaults are Stripe's own, as far as they are known, for a test-mode account."""

    api_version: str = "2026-10-28.endive"
    """The account's default version: of answers to requests that name none, and of events."""
    rate: float | None = 25.0
    """Requests a second (a bucket that holds as many as ``burst``); None: no limit."""
    burst: float | None = None
    """How many requests may come at once; None: as many as ``rate``, at least one."""
    concurrency: int | None = None
    """Requests that may be under way at once; None: no limit."""
    search_delay: float = 1.0
    """Seconds, on the sandbox's clock, until search shows a write."""
    normalise: bool = False
    """Lower-case and trim e-mails, trim names: for clients that must live with a remote that does so."""
    empty_parts_kept: bool = False
    """Keep '' in the parts of an address as '', instead of null. Stripe was seen to do so; see ``objects.py``."""
    seed: int | None = None
    """Makes ids and chances repeatable; None: different in each run."""
    body_limit_bytes: int = 1_048_576
    key_memory_seconds: float = 24 * 3600
    """How long an idempotency key is known, on the sandbox's clock."""
    event_memory_seconds: float = 30 * 24 * 3600
    """How long events can be read, on the sandbox's clock."""
    webhook_tries: int = 10
    """How often a delivery is tried in all."""
    webhook_backoff_seconds: float = 0.25
    """The wait after the first failed try, in real time; doubled with each."""
    webhook_backoff_limit_seconds: float = 5.0
    webhook_timeout_seconds: float = 10.0
    webhook_concurrency: int = 32
    """Deliveries under way at once, per endpoint."""
    request_log_size: int = 20_000
    """How many of the last requests ``/_sandbox/requests`` can show."""
    delivery_log_size: int = 1_000
    """How many of the last deliveries the page can show."""
    open: bool = False
    """The page and ``/_sandbox`` are for other machines, too: in a container nobody comes from this one."""
