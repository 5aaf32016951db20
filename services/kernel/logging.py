"""Logs for people on a terminal and JSON for machines; phone numbers and accounts are masked."""

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from contracts.event import CaseEvent
from services.kernel.log import Record

_PHONE = re.compile(r"(?<!\d)(1[3-9]\d)\d{4}(\d{4})(?!\d)")
#: A run of digits within letters is part of an id, as in a trace, and no account.
_CARD = re.compile(r"(?<![0-9A-Za-z])(\d{4})\d{8,11}(\d{4})(?![0-9A-Za-z])")
_SECRET = re.compile(r"(token|secret|password|authorization)", re.IGNORECASE)
#: What tells one thing from another, for those who search: orders of some channels look like accounts.
_IDS = frozenset(
    {"order_id", "case_id", "trace_id", "request_id", "event_id", "stream", "subject", "payout", "reference", "path"}
)

#: What the work at hand is about. One variable for all of it: structlog has one for each name, and setting those took
#: ten times as long, for every request.
_AT_WORK: ContextVar[Mapping[str, str]] = ContextVar("at_work", default={})  # noqa: B039 - never changed in place

#: Libraries that tell a trouble anew at each of their tries, many times a second, and how often that is let through.
_CHATTY = "aiokafka"
SELDOM_SECONDS = 60.0

Chain = list[structlog.typing.Processor]


def mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide what a log must not tell, however deep."""
    return {name: value if name in _IDS else _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if _SECRET.search(name):
        return "***"
    if isinstance(value, Mapping):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", inner) for inner in value]
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and name.endswith("_fen")):
        return value
    text = str(value) if isinstance(value, str | int) else repr(value)
    hidden = masked(text)
    return value if isinstance(value, int) and hidden == text else hidden


def masked(text: str) -> str:
    """A text without the middle of phone numbers and accounts."""
    return _CARD.sub(r"\1****\2", _PHONE.sub(r"\1****\2", text))


def begin_work(**about: str) -> None:
    """What every line of the log tells that is written from now on, in this task and those that it starts."""
    _AT_WORK.set(about)


def specify_work(**about: str) -> None:
    """Tell that as well, once it is known."""
    _AT_WORK.set({**_AT_WORK.get(), **about})


@contextmanager
def at_work_on(record: Record, service: str, trace_id: str) -> Iterator[None]:
    """What every line of the log tells that is written while a service handles an event."""
    about = {
        "service": service,
        "order_id": record.stream,
        "event_type": record.type,
        "event_id": record.id,
        "trace_id": trace_id,
    }
    if isinstance(record.event, CaseEvent):
        about["case_id"] = record.event.case_id
    before = _AT_WORK.set(about)
    try:
        yield
    finally:
        _AT_WORK.reset(before)


def tell_work(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Tell what the work at hand is about; what a line says itself comes first."""
    return {**_AT_WORK.get(), **event}


def set_up(
    level: str = "info", form: Literal["auto", "json", "pretty"] = "auto", *, service: str = "", role: str = ""
) -> None:
    """Configure logging for this process, that of libraries too; everything goes to standard error.

    `service` and `role` say on each line which process it is of; where one process runs several services, the line
    names the one that it is about.
    """
    process = {name: value for name, value in (("service", service), ("role", role)) if value}

    def tell_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {**process, **event}

    pretty = form == "pretty" or (form == "auto" and sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    first: Chain = [
        structlog.contextvars.merge_contextvars,
        tell_work,
        tell_process,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Errors become text before they are masked: what went wrong often names what it went wrong with.
    last: Chain = [structlog.processors.format_exc_info, mask, _renderer(pretty)]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _take_over_libraries(first, last, number)


def _renderer(pretty: bool) -> structlog.typing.Processor:
    if pretty:
        colours = sys.stderr.isatty()
        return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
    return structlog.processors.JSONRenderer(ensure_ascii=False)


class _Seldom(logging.Filter):
    """Lets through what a chatty library says over and over, as in each of its tries to reach a broker that is away,
    once in a while: with how often it was said since."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_CHATTY):
            return True
        kind = (record.name, str(record.msg))
        told_at, kept_back = self._told.get(kind, (-SELDOM_SECONDS, 0))
        if monotonic() - told_at < SELDOM_SECONDS:
            self._told[kind] = told_at, kept_back + 1
            return False
        self._told[kind] = monotonic(), 0
        record.repeated = kept_back
        return True


def _tell_library(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Tell whose line it is, and how many more like it there were since the last."""
    record: logging.LogRecord = event["_record"]
    repeated = getattr(record, "repeated", 0)
    return {**event, "library": record.name.partition(".")[0], **({"repeated": repeated} if repeated else {})}


class _Handler(logging.StreamHandler[TextIO]):
    """What libraries log, told as we tell it."""


def _take_over_libraries(first: Chain, last: Chain, level: int) -> None:
    handler = _Handler(sys.stderr)
    handler.addFilter(_Seldom())
    formatter = structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(foreign_pre_chain=[*first, _tell_library], processors=[formatter.remove_processors_meta, *last])
    )
    for old in [one for one in logging.root.handlers if isinstance(one, _Handler)]:
        logging.root.removeHandler(old)
    logging.root.addHandler(handler)
    logging.root.setLevel(max(level, logging.WARNING))  # their news is of no use to an operator, their trouble is
