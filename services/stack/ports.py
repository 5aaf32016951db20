"""Ports on this machine that nobody holds."""

import random
import socket
from collections.abc import Collection, Iterable
from typing import Final

#: Below those that the system gives to outgoing connections, so that a server finds its port free after a restart.
_RANGE: Final = range(20_000, 32_000)


class NoFreePort(Exception):
    """All ports that servers may take are held by others."""


def free_port(preferred: Iterable[int] = (), taken: Collection[int] = ()) -> int:
    """The first of the preferred ports that is free on 127.0.0.1, else any but those `taken`. Raises NoFreePort."""
    for port in (*preferred, *random.sample(_RANGE, len(_RANGE))):
        if port not in taken and _is_free(port):
            return port
    raise NoFreePort(f"no port between {_RANGE.start} and {_RANGE.stop} is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what lingers of an earlier server is no hindrance
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
