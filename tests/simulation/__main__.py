"""Run histories: ``python -m tests.simulation --seeds 1000``, or one with its trace: ``--seed 17``."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time

import structlog

from tests.simulation.world import simulate


def _verdict(seed: int) -> tuple[int, str | None]:
    try:
        return seed, simulate(seed)
    except Exception as error:  # noqa: BLE001 - a crash of a history is its verdict
        return seed, f"raised {error!r}"


def main() -> int:
    """Print what went wrong, seed by seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one history, with its trace")
    parser.add_argument("--seeds", type=int, default=1000, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if options.seed is not None:
        verdict = simulate(options.seed, trace=print)
        print(verdict or "nothing went wrong")
        return 1 if verdict else 0
    started, wrong = time.monotonic(), 0
    with multiprocessing.Pool(options.workers) as pool:
        for seed, verdict in pool.imap_unordered(_verdict, range(options.first, options.first + options.seeds), 10):
            if verdict:
                wrong += 1
                print(f"seed {seed}: {verdict}")
    print(f"{options.seeds} histories, {wrong} went wrong, {time.monotonic() - started:.1f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
