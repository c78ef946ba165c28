"""How much memory programs take, with all that they have started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

_PROC = Path("/proc")


def megabytes(pid: int, *, alone: bool = False) -> float | None:
    """Memory of a process and its descendants, in MB: what they share is counted once. None where that cannot be told.

    ``alone``: without the descendants.

    Proportional set sizes (``smaps_rollup`` of proc(5)). Where the system does not let us see those of other users'
    processes: what each has for itself, and the largest share of one of them.
    """
    if not _PROC.joinpath("self/smaps_rollup").exists():
        return None
    family = [pid] if alone else list(_family(pid))
    try:
        kilobytes = sum(_number(_PROC / str(each) / "smaps_rollup", "Pss") for each in family)
    except PermissionError:
        own = sum(_number(_PROC / str(each) / "status", "RssAnon") for each in family)
        kilobytes = own + max(_shared(each) for each in family)
    return kilobytes / 1024


def _shared(pid: int) -> int:
    status = _PROC / str(pid) / "status"
    return _number(status, "RssFile") + _number(status, "RssShmem")


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in _children(pid):
        yield from _family(child)


def _children(pid: int) -> Iterable[int]:
    tasks = (_PROC / str(pid) / "task").glob("*/children")
    return [int(child) for children in tasks for child in children.read_text().split()]


def _number(file: Path, name: str) -> int:
    """A number of kilobytes in one of proc's files; 0 where a process has no such number, or is gone by now."""
    try:
        lines = file.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
