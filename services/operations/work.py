"""Being at work on an operation, from the ticket to its last event."""

from collections.abc import Callable
from typing import Any

import structlog

from contracts.registry import decode
from services.kernel.clock import clock_of
from services.kernel.event_store import StoreUnavailable
from services.kernel.long_work import CalledOff, Tell
from services.kernel.operations import Desk, Operation, Ticket, Watch
from services.kernel.settings import Settings
from services.kernel.stores import open_store
from services.operations.kind import Work
from services.operations.kinds import KINDS, options_of
from services.operations.trouble import trouble_of

log = structlog.get_logger(__name__)

#: Puts something between the work and whoever steers it, such as a bar.
Wrap = Callable[[Tell], Tell]


async def work(settings: Settings, service: str, ticket: Ticket, by: str, wrap: Wrap = lambda tell: tell) -> Operation:
    """Do an operation and tell how it ended: finished or failed. Gives what it is then. Where it was cancelled nothing
    is told, nor where this is: then it is interrupted. `by`: who had it done.
    """
    store = open_store(settings.database_of(service), decode, readers=2)
    try:
        desk = Desk(store, service, clock_of(settings))
        try:
            async with Watch(desk, ticket) as watch:
                await watch.heed()
                known = await desk.show(ticket.operation)
                await _done(desk, Work(settings, service, known.id, store), known, wrap(watch), by)
        except CalledOff as off:
            log.info("operation_called_off", operation=ticket.operation, reason=str(off))
        return await desk.show(ticket.operation)
    finally:
        await store.close()


async def _done(desk: Desk, here: Work, known: Operation, tell: Tell, by: str) -> None:
    outcome: dict[str, Any] = {}
    try:
        kind = KINDS[known.kind]
        outcome = await kind.run(here, options_of(kind, here.service, known.options, here.settings), tell)
    except (CalledOff, StoreUnavailable):  # a database that is away is no end: it can be taken up when that is back
        raise
    except Exception as error:
        log.exception("operation_failed", operation=known.id)
        trouble = trouble_of(error)
        await desk.fail(known.id, by, trouble.code, trouble.zh, trouble.en)
        return
    await desk.finish(known.id, by, outcome)
