"""Reconciling a channel: its days are read from the database one after another, compared, and what agrees is noted.

What a run finds follows from the bills and from the books up to a position of their log, and from nothing else. Which
row agrees with which posting is noted in `matched_row`; a later run that looks at the same days writes it anew.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from services.finance.reconciliation_reading import Inputs, inputs_of, looked_up
from services.finance.reconciling.items import TRANSFER, BillRow, OurPosting, is_payout, order_of_row, reference_of
from services.finance.reconciling.outcome import Found, Outcome, Tally, What, discrepancy_id
from services.finance.reconciling.run import Run
from services.finance.suspicions import suspicions
from services.kernel.event_store import Commit, Statement
from services.kernel.long_work import Tell, told_nobody
from services.kernel.service import Service

#: Rows that are noted at a time.
PAGE: Final = 1_000
#: Of one discrepancy, so many rows and events are named.
NAMED_MOST: Final = 200

_CLEAR: Final = (
    "DELETE FROM matched_row WHERE channel = ? AND row_key IN"
    " (SELECT row_key FROM bill_row WHERE channel = ? AND day = ?)"
)
_NOTE: Final = (
    "INSERT INTO matched_row (channel, row_key, event_id, line, rule, run) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (channel, row_key) DO UPDATE SET event_id = excluded.event_id, line = excluded.line,"
    " rule = excluded.rule, run = excluded.run"
)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compared. `order_channels`: of which orders the money goes through the channel; where none are
    named, all but those that are of another payment channel."""

    channel: str
    first_day: str
    last_day: str
    order_channels: tuple[str, ...] = ()


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. `found` are its discrepancies, and what is suspicious in the books by themselves."""

    run: str
    request: Request
    bills: tuple[str, ...]
    position: int
    result: str
    tally: Tally
    found: Sequence[Found]


#: Is given what was told of some days.
Take = Callable[[Sequence[Outcome]], Awaitable[None]]


class Reconciler:
    """Reconciles the books of the finance service with the bills that were taken in."""

    def __init__(self, service: Service[Any]) -> None:
        self._service = service

    async def look(self, request: Request, tell: Tell = told_nobody, *, position: int | None = None) -> Reconciliation:
        """What a run would come to, or came to at a position of the books' log; nothing is noted."""

        async def nothing(_: Sequence[Outcome]) -> None:
            return None

        return await self._run(request, lambda _: nothing, tell, position)

    async def make(self, request: Request, tell: Tell = told_nobody) -> Reconciliation:
        """What a run comes to, with what agrees noted."""
        return await self._run(request, lambda inputs: _Notes(self._service, inputs).take, tell)

    async def _run(
        self, request: Request, taking: Callable[[Inputs], Take], tell: Tell, position: int | None = None
    ) -> Reconciliation:
        async with self._service.store.snapshot() as reads:
            if position is None:
                position = await reads.checkpoint(self._service.projector.name, self._service.name)
            inputs = await inputs_of(reads, request, position, run_id)
            scope, found = inputs.scope, list[Found]()
            run, take = Run(scope), taking(inputs)
            days = scope.days if inputs.bills else []

            async def told(outcomes: Sequence[Outcome]) -> None:
                found.extend(found_of(one, scope.channel) for one in outcomes if one.what is What.DISCREPANCY)
                await take(outcomes)

            for done, day in enumerate(days):
                await tell(done, len(days))
                postings, rows = await inputs.postings(day), await inputs.rows(day)
                await told(await asyncio.to_thread(run.take, day, postings, rows))
            known = await looked_up(inputs, await asyncio.to_thread(run.wanted))
            await told(await asyncio.to_thread(run.finish, known))
            await take(())
            found += await suspicions(reads, inputs)
            await tell(len(days), len(days))
        return Reconciliation(
            run=inputs.run,
            request=request,
            bills=inputs.bills,
            position=position,
            result=run.result,
            tally=run.tally,
            found=found,
        )


def run_id(request: Request, bills: Iterable[str], position: int) -> str:
    """What a run is called: it follows from what is compared."""
    days = (request.channel, request.first_day, request.last_day)
    said = "\n".join([*days, *request.order_channels, *bills, str(position)])
    return f"R-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def found_of(outcome: Outcome, channel: str) -> Found:
    """A discrepancy as the books keep it."""
    postings, rows = outcome.postings, outcome.rows
    keys = [*(f"{one.event_id}/{one.line}" for one in postings), *(row.key for row in rows)]
    named = dict.fromkeys(row.key for row in (*rows, *outcome.beside))
    return Found(
        discrepancy=discrepancy_id(outcome.name, keys or named),
        kind=outcome.name,
        channel=channel,
        day=outcome.day,
        expected_fen=outcome.expected_fen,
        found_fen=outcome.found_fen,
        order_id=_order(postings, (*rows, *outcome.beside)),
        case_id=_case(postings, rows),
        rows=tuple(named)[:NAMED_MOST],
        events=tuple(dict.fromkeys(one.event_id for one in postings))[:NAMED_MOST],
    )


def _order(postings: Sequence[OurPosting], rows: Sequence[BillRow]) -> str:
    """The order that all of it is about; empty where it is about several, or none."""
    orders = {one.order_id for one in postings} or {order_of_row(row) for row in rows if row.kind != TRANSFER}
    return orders.pop() if len(orders) == 1 else ""


def _case(postings: Sequence[OurPosting], rows: Sequence[BillRow]) -> str:
    references = [reference for row in rows if is_payout(reference := reference_of(row))]
    cases = {one.case_id for one in postings} or {reference.partition(":")[0] for reference in references}
    return cases.pop() if len(cases) == 1 else ""


class _Notes:
    """Notes which row agrees with which posting: by a roll-up with several, of which the first is noted."""

    def __init__(self, service: Service[Any], inputs: Inputs) -> None:
        self._service = service
        self._inputs = inputs
        self._is_cleared = False
        self._waiting: list[tuple[Any, ...]] = []

    async def take(self, outcomes: Sequence[Outcome]) -> None:
        """Note what agrees; nothing means that this was all."""
        if not self._is_cleared:
            self._is_cleared = True
            channel = self._inputs.scope.channel
            days = [day for day in self._inputs.scope.days if self._inputs.scope.decides(day)]
            await self._write(Statement(_CLEAR, [(channel, channel, day) for day in days]))
        self._waiting += (note for one in outcomes if one.what is What.MATCHED for note in self._noted(one))
        while len(self._waiting) >= (PAGE if outcomes else 1):
            page, self._waiting = self._waiting[:PAGE], self._waiting[PAGE:]
            await self._write(Statement(_NOTE, page))

    def _noted(self, outcome: Outcome) -> Iterable[tuple[Any, ...]]:
        event_id, line = (outcome.postings[0].event_id, outcome.postings[0].line) if outcome.postings else ("", 0)
        scope = self._inputs.scope
        for row in outcome.rows:
            if scope.decides(row.day):
                yield scope.channel, row.key, event_id, line, outcome.name, self._inputs.run

    async def _write(self, statement: Statement) -> None:
        await self._service.appender.submit(Commit(statements=(statement,)))
