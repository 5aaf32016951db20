"""Who hands payouts to the gateway, and asks until every outcome is known (`domain.md` §4, `faults.md` row 25)."""

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import structlog

from contracts.event import Event
from contracts.events.refunds import PayoutRequested
from services.kernel.actor import SYSTEM, Actor
from services.kernel.decider import Context
from services.kernel.event_store import Checkpoint, Commit
from services.kernel.files import Origin, new_id
from services.kernel.log import Record
from services.kernel.metrics import GATEWAY_CALLS
from services.kernel.naming import order_of
from services.kernel.service import Service
from services.kernel.views import utc
from services.refunds.domain import RefundsDomain
from services.refunds.domain.file import RefundsFile
from services.refunds.gateway import NOT_RECEIVED, CallbackOutcome, Gateway, Outcome, PayoutOrder

NAME = "cashier"
#: Orders whose payouts are handed over at the same time; those of one order go one after another.
ORDERS_AT_ONCE = 16
#: How long a payout may be without outcome before the gateway is asked for the truth.
ASK_AFTER = timedelta(seconds=30)
#: Payouts asked about in one round.
ASKED_AT_ONCE = 200

log = structlog.get_logger(__name__)


class Cashier:
    """Follows the refunds log and pays what it says is to be paid."""

    def __init__(self, service: Service[RefundsFile], domain: RefundsDomain, gateway: Gateway) -> None:
        self._service = service
        self._domain = domain
        self._gateway = gateway
        self._busy = asyncio.Semaphore(ORDERS_AT_ONCE)

    async def __call__(self, records: list[Record]) -> None:
        """Pay what these records request, and note how far they reach."""
        orders: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if isinstance(record.event, PayoutRequested):
                orders[record.stream].append(record)
        async with asyncio.TaskGroup() as tasks:
            for requests in orders.values():
                tasks.create_task(self._pay_all(requests))
        checkpoint = Checkpoint(NAME, self._service.name, records[-1].position)
        await self._service.appender.submit(Commit(checkpoint=(checkpoint,)))

    async def _pay_all(self, requests: list[Record]) -> None:
        async with self._busy:
            for record in requests:
                await self._pay(record.event, record)

    async def _pay(self, request: PayoutRequested, record: Record) -> None:
        """Hand over one attempt, unless its outcome is known: a crash or a second delivery must not matter."""
        async with self._service.files.reading(record.stream) as (file, _):
            payout = file.payouts[request.payout]
            if payout.status != "requested" or payout.attempt != request.attempt:
                return
        order = PayoutOrder(
            request.payout,
            request.attempt,
            request.amount_fen,
            request.kind,
            record.stream,
            request.channel_refund_id or None,
        )
        outcome = await self._gateway.pay(order)
        GATEWAY_CALLS.labels("pay", outcome.status).inc()
        origin = Origin(Actor(SYSTEM, NAME), record.correlation_id, record.id, record.traceparent)
        await self._note(record.stream, request.payout, request.attempt, outcome, origin)

    async def _note(self, stream: str, payout: str, attempt: int, outcome: Outcome, origin: Origin) -> None:
        def decide(file: RefundsFile, context: Context) -> list[Event]:
            return list(self._domain.record_outcome(file, payout, attempt, outcome, context))

        await self._service.files.record(stream, decide, origin)

    async def ask_open(self, now: datetime) -> None:
        """Ask for the truth about payouts that are without outcome for a while."""
        rows = await self._service.store.query(
            "SELECT payout, case_id, attempt FROM payout_view WHERE status IN ('requested', 'unknown')"
            " AND updated_at <= ? ORDER BY requested_at LIMIT ?",
            (utc(now - ASK_AFTER), ASKED_AT_ONCE),
        )
        for row in rows:
            await self._ask(row)

    async def _ask(self, row: dict[str, Any]) -> None:
        stream = order_of(row["case_id"])
        outcome = await self._gateway.ask(row["payout"], row["attempt"])
        GATEWAY_CALLS.labels("ask", outcome.status).inc()
        if outcome.reason == NOT_RECEIVED:
            outcome = await self._hand_over_again(stream, row["payout"], row["attempt"])
        await self._note(stream, row["payout"], row["attempt"], outcome, _asking())

    async def _hand_over_again(self, stream: str, payout_id: str, attempt: int) -> Outcome:
        """The provider never saw this attempt: the same attempt once more is safe."""
        async with self._service.files.reading(stream) as (file, _):
            payout = file.payouts[payout_id]
            order = PayoutOrder(
                payout_id, attempt, payout.amount_fen, payout.kind, stream, payout.channel_refund_id or None
            )
        return await self._gateway.pay(order)

    async def called_back(self, callback: CallbackOutcome) -> bool:
        """Note what the provider reports by itself; False for a payout that we do not know, or of another amount."""
        case_id = callback.reference.rsplit(":", 2)[0]
        stream = order_of(case_id)
        async with self._service.files.reading(stream) as (file, _):
            payout = file.payouts.get(callback.reference)
            if payout is None or payout.amount_fen != callback.amount_fen:
                log.warning("callback_does_not_fit", reference=callback.reference, amount_fen=callback.amount_fen)
                return False
        await self._note(stream, callback.reference, callback.attempt, callback.outcome, _asking())
        return True


def _asking() -> Origin:
    return Origin(Actor(SYSTEM, NAME), correlation_id=new_id())
