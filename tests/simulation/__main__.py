"""Run histories: ``python -m tests.simulation --seeds 1000``, or one with its trace: ``--seed 17``."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from functools import partial

import pytest
import structlog

from tests.simulation.ablation import RULES
from tests.simulation.plan import VARIANTS, plan_of
from tests.simulation.world import simulate


def quiet() -> None:
    """Nothing is logged: faults are what a simulation is made of."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def verdict(seed: int) -> str | None:
    """What went wrong; a crash of a history is its verdict, too."""
    try:
        return simulate(seed)
    except Exception as error:  # noqa: BLE001 - see above
        return f"raised {error!r}"


def _prepare(rule: str | None) -> None:
    quiet()
    if rule is not None:
        RULES[rule](pytest.MonkeyPatch())


def _numbered(seed: int, only: str | None) -> tuple[int, str, str | None]:
    name = plan_of(seed)[0]
    return seed, name, verdict(seed) if only in (None, name) else None


def main() -> int:
    """Print what went wrong, seed by seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one history, with its trace")
    parser.add_argument("--seeds", type=int, default=1000, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", choices=["plain", *VARIANTS], help="histories of this kind alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without", choices=list(RULES), metavar="RULE", help=f"leave a rule out: {', '.join(RULES)}")
    options = parser.parse_args()
    _prepare(options.without)
    if options.seed is not None:
        wrong = simulate(options.seed, trace=print)
        print(wrong or "nothing went wrong")
        return 1 if wrong else 0
    started, found, run = time.monotonic(), Counter[str](), Counter[str]()
    seeds = range(options.first, options.first + options.seeds)
    with multiprocessing.Pool(options.workers, initializer=_prepare, initargs=(options.without,)) as pool:
        for seed, name, wrong in pool.imap_unordered(partial(_numbered, only=options.only), seeds, 10):
            run[name] += options.only in (None, name)
            if wrong:
                found[name] += 1
                print(f"seed {seed} ({name}): {wrong}")
    print(f"{run.total()} histories, {found.total()} went wrong, {time.monotonic() - started:.1f} s")
    for name, count in sorted(found.items()):
        print(f"  {name}: {count} of {run[name]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
