"""What commands that serve have in common: they end when they are told to, and say why they cannot listen."""

import asyncio
import errno
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from services.catalogue import SERVICES
from services.cli.failure import Failure
from services.kernel.settings import Settings

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def named(services: Sequence[str]) -> list[str]:
    """These services, in their usual order; `Failure` where one is not there."""
    unknown = [name for name in services if name not in SERVICES]
    if unknown:
        names, known = ", ".join(unknown), ", ".join(SERVICES)
        raise Failure(
            "unknown_service",
            f"没有 {names} 这个服务。可选:{known}。",
            f"There is no service {names}. There are: {known}.",
        )
    return [name for name in SERVICES if name in services]


@contextmanager
def told_to_stop() -> Iterator[asyncio.Event]:
    """Set by the first signal to end; after the block, a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def listening(settings: Settings) -> Iterator[None]:
    """Says what is wrong with the address where that is why nobody can listen there."""
    try:
        yield
    except OSError as error:
        raise _not_listening(settings, error) or error from None


def _not_listening(settings: Settings, error: OSError) -> Failure | None:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return Failure(
            "port_in_use",
            f"端口 {where} 已被占用。请停止占用它的程序,或换一个:--port 0 任选空闲端口。",
            f"The port {where} is in use. Stop what uses it, or take another: --port 0 takes a free one.",
        )
    if error.filename is None:
        return Failure(
            "cannot_listen",
            f"无法监听 {where}:{error.strerror}。请检查 --host 和 --port。",
            f"Cannot listen on {where}: {error.strerror}. Check --host and --port.",
        )
    return None
