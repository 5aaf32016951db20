"""Which service answers which request: read from the services' own routes, for whoever stands in front of them."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from aiohttp import web

from contracts.policy import load_policy
from services.catalogue import SERVICES
from services.kernel.clock import SystemClock
from services.kernel.settings import load_settings
from services.operations.http import OperationsHttp


class Route(NamedTuple):
    """Requests of one kind: method, path with its parts to fill in (`/v1/cases/{case_id}`), and who answers them."""

    method: str
    path: str
    service: str


@cache
def routes() -> tuple[Route, ...]:
    """Every route of every service, in the order in which they are tried."""
    with TemporaryDirectory() as folder:  # nothing is opened there
        settings = load_settings({}, data_dir=Path(folder))
        policy, clock = load_policy(), SystemClock()
        own = {name: make(settings, policy, clock).routes() for name, make in SERVICES.items()}
        own["cases"] += OperationsHttp(settings, policy, clock).routes()  # whatever service an operation works on
        return tuple(Route(method, path, name) for name, defined in own.items() for method, path in _told(defined))


def service_of(method: str, path: str) -> str:
    """The service that answers such a request. Raises LookupError where none does."""
    for route in routes():
        if route.method == method and _pattern(route.path).fullmatch(path):
            return route.service
    raise LookupError(f"no service answers {method} {path}")


def elsewhere(method: str, path: str) -> str:
    """The service that answers such a request, "" where none does."""
    try:
        return service_of(method, path)
    except LookupError:
        return ""


def _told(defined: Iterable[web.RouteDef]) -> list[tuple[str, str]]:
    router = web.Application().router
    router.add_routes(defined)
    return [(one.method, one.resource.canonical) for one in router.routes() if one.resource is not None]


@cache
def _pattern(path: str) -> re.Pattern[str]:
    """What a path with parts to fill in stands for: each part is one segment, as in aiohttp."""
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in _parts(path)))


def _parts(path: str) -> list[str]:
    return re.split(r"(\{[^}]*\})", path)
