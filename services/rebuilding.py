"""Building read tables of a service anew beside the live ones, with what the settings name: its database and policy."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from contracts.registry import decode
from services.catalogue import SERVICES, Assembly
from services.kernel.clock import SystemClock
from services.kernel.long_work import Tell, told_nobody
from services.kernel.rebuild import Outcome, planned, rebuild
from services.kernel.rebuild.building import Rules
from services.kernel.rebuild.workers import workers
from services.kernel.service import Service
from services.kernel.settings import Settings
from services.kernel.workers import AHEAD, fitting
from services.policy import policy_in_force


@asynccontextmanager
async def services_of(settings: Settings) -> AsyncIterator[dict[str, Service[Any]]]:
    """All services on their databases, none of them at work; let go of in the end."""
    async with AsyncExitStack() as ending:
        beside = ending.enter_context(_without_files(settings))
        assemblies = {name: _assembled(beside, name) for name in SERVICES}
        for one in assemblies.values():
            ending.push_async_callback(one.closed)
            ending.push_async_callback(one.service.close)
        yield {name: one.service for name, one in assemblies.items()}


def tables_by_service(services: dict[str, Service[Any]]) -> dict[str, tuple[str, ...]]:
    """The read tables of each service."""
    return {name: tuple(service.part.views.tables) for name, service in services.items()}


async def rebuilt(
    settings: Settings,
    service: Service[Any],
    tables: Sequence[str],
    holder: str,
    *,
    swap: bool = False,
    processes: int = 0,
    tell: Tell = told_nobody,
) -> Outcome:
    """Build these read tables of a service, by so many processes (0: as many as suit the log); see `kernel.rebuild`."""
    if not processes:
        plan = await planned(service, tables)
        processes = fitting(plan.events - (plan.kept.records if plan.kept else 0))
    if processes == 1:
        return await rebuild(service, tables, holder, swap=swap, tell=tell)
    make = partial(_rules, settings, service.name)
    with workers(service.store, service.database_url, processes, decode, make) as by:
        return await rebuild(service, tables, holder, swap=swap, tell=tell, by=by, ahead=processes * AHEAD)


@contextmanager
def _without_files(settings: Settings) -> Iterator[Settings]:
    """Settings by which nothing is kept beside the databases: read tables need no evidence files."""
    with TemporaryDirectory(prefix="aftersales-") as nowhere:
        yield settings.model_copy(update={"media_url": nowhere})


def _assembled(settings: Settings, service: str) -> Assembly:
    return SERVICES[service](settings, policy_in_force(settings), SystemClock())


def _rules(settings: Settings, service: str) -> Rules:
    """In a worker."""
    with _without_files(settings) as beside:
        part = _assembled(beside, service).service.part
    return Rules(part.domain, part.views)
