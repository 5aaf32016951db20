"""Logs for people on a terminal and JSON for machines; phone numbers and accounts are masked."""

import logging
import re
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

_PHONE = re.compile(r"(?<!\d)(1[3-9]\d)\d{4}(\d{4})(?!\d)")
_CARD = re.compile(r"(?<!\d)(\d{4})\d{8,11}(\d{4})(?!\d)")
_SECRET = re.compile(r"(token|secret|password|authorization)", re.IGNORECASE)


def mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide what a log must not tell."""
    for name, value in event.items():
        if _SECRET.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = _CARD.sub(r"\1****\2", _PHONE.sub(r"\1****\2", value))
    return event


def set_up(level: str = "info", form: Literal["auto", "json", "pretty"] = "auto") -> None:
    """Configure logging for this process; everything goes to standard error."""
    pretty = form == "pretty" or (form == "auto" and sys.stderr.isatty())
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if pretty
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            mask,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
