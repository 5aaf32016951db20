"""`rebuild`: read tables of a service built anew beside the live ones, in the background."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from contracts.policy import load_policy
from services.catalogue import SERVICES
from services.kernel.clock import SystemClock
from services.kernel.fields import Word
from services.kernel.leases import holder_named
from services.kernel.long_work import Tell
from services.kernel.settings import load_settings
from services.operations.kind import Options, Work
from services.operations.verifying import Workers
from services.rebuilding import rebuilt, services_of


class Rebuild(Options, frozen=True, kw_only=True):
    """Read tables built anew from the log, beside those in use, and compared with them."""

    tables: Annotated[tuple[Word, ...], Meta(description="Which read tables; all of the service unless named")] = ()
    swap: Annotated[bool, Meta(description="Put in place what differs; otherwise it is only compared")] = False
    workers: Annotated[Workers, Meta(description="How many processes share the work; 0: as many as suit it")] = 0

    def mistakes(self, service: str) -> Iterator[tuple[str, str, str, str]]:
        known = tables_of(service)
        for place, name in enumerate(self.tables):
            if name not in known:
                names = ", ".join(known)
                yield f"tables[{place}]", "one_of", f"只能是:{names}", f"must be one of: {names}"


async def rebuild(work: Work, options: Rebuild, tell: Tell) -> dict[str, Any]:
    """Build and compare them. What was interrupted goes on where it was."""
    tables = options.tables or tables_of(work.service)
    async with services_of(work.settings) as services:
        done = await rebuilt(
            work.settings,
            services[work.service],
            tables,
            holder_named(work.operation),
            swap=options.swap,
            processes=options.workers,
            tell=tell,
        )
    return {
        "equal": done.equal,
        "swapped": done.swapped,
        "position": done.position,
        "records": done.records,
        "tables": [
            {name: value for name, value in msgspec.to_builtins(one).items() if name != "first"} for one in done.tables
        ],
    }


@cache
def tables_of(service: str) -> tuple[str, ...]:
    """The read tables of a service; none for what is no service."""
    if service not in SERVICES:
        return ()
    with TemporaryDirectory() as folder:  # nothing is opened there
        assembly = SERVICES[service](load_settings({}, data_dir=Path(folder)), load_policy(), SystemClock())
        return tuple(assembly.service.part.views.tables)
