"""Structured logs on stderr: JSON lines for programs, readable lines in a terminal.

Events are named ``thing.happened``, with their facts as fields. Secrets cannot get into them: what ``configure`` is
given as a secret is blotted out of every text, and so is what stands in a field or an address where secrets stand.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

from bothways.insight.hiding import HIDDEN, learn

_SECRET_FIELD = re.compile(r"api_?key|secret|password|passwd|authorization|signature|cookie", re.IGNORECASE)
Event = structlog.typing.EventDict


def configure(
    *, secrets: Iterable[str] = (), level: str = "info", stream: TextIO | None = None, as_json: bool | None = None
) -> None:
    """Set logging up for this process; may be called again, as soon as the secrets are known.

    ``as_json`` None: JSON unless the stream (stderr) is a terminal.
    """
    stream = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    if as_json is None:
        as_json = not stream.isatty()
    hiding = _hiding(learn(secrets))
    finish: list[structlog.typing.Processor]
    if as_json:
        # Without the values of local variables: they are long, and hold what nobody should read.
        frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        exceptions = structlog.processors.ExceptionRenderer(frames)
        finish = [exceptions, hiding, structlog.processors.JSONRenderer()]
    else:
        console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")
        finish = [structlog.processors.format_exc_info, hiding, console]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _tell,
            *finish,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _adopt_standard_logging(number)


Listener = Callable[[str, Mapping[str, Any]], None]
"""Is given the level and the event with its fields, the exception as it was raised; it may be called by any thread."""
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """While the block runs, the listener hears whatever is logged. What it is given is not cleaned of secrets."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _tell(_logger: object, method: str, event: Event) -> Event:
    for listener in _listeners:
        listener(method, event)
    return event


def _hiding(clean: Callable[[str], str]) -> structlog.typing.Processor:
    """A processor that blots secrets out, however deep they stand, and puts first what people look for first."""

    def hide(_logger: object, _method: str, event: Event) -> Event:
        first = {name: event[name] for name in ("time", "level", "event") if name in event}
        return {name: _cleaned(name, value, clean) for name, value in {**first, **event}.items()}

    return hide


def _cleaned(name: str, value: Any, clean: Callable[[str], str]) -> Any:
    if _SECRET_FIELD.search(name) and value is not None:
        return HIDDEN
    match value:
        case str():
            return clean(value)
        case dict():
            return {str(key): _cleaned(str(key), inner, clean) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_cleaned(name, inner, clean) for inner in value]
        case None | bool() | int() | float():
            return value
    return clean(str(value))


class _Adopted(logging.Handler):
    """What libraries log by the standard library's means comes out like everything else."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
        )


def _adopt_standard_logging(level: int) -> None:
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Adopted)]:
        root.removeHandler(handler)
    root.addHandler(_Adopted())
    # Libraries tell much about little: from them only what is wrong, unless all is asked for.
    root.setLevel(logging.DEBUG if level <= logging.DEBUG else logging.WARNING)
