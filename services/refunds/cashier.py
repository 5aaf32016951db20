"""Who hands payouts to the gateway, and asks until every outcome is known (`domain.md` §4, `faults.md` row 25)."""

import asyncio
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import structlog

from contracts.event import Event
from contracts.events.refunds import PayoutRequested
from services.kernel import tracing
from services.kernel.actor import SYSTEM, Actor
from services.kernel.decider import Context
from services.kernel.event_store import StoreUnavailable
from services.kernel.files import Origin, new_id
from services.kernel.log import Record
from services.kernel.metrics import GATEWAY_CALLS
from services.kernel.naming import order_of
from services.kernel.progress import Progress
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
#: Payouts read at a time to be asked about.
ASKED_AT_ONCE = 200
OPEN_PAYOUTS = """SELECT payout, case_id, attempt, requested_at FROM payout_view
WHERE status IN ('requested', 'unknown') AND updated_at <= ? AND (requested_at, payout) > (?, ?)
ORDER BY requested_at, payout LIMIT ?"""

log = structlog.get_logger(__name__)


class Cashier:
    """Follows the refunds log and pays what it says is to be paid."""

    def __init__(self, service: Service[RefundsFile], domain: RefundsDomain, gateway: Gateway) -> None:
        self._service = service
        self._domain = domain
        self._gateway = gateway
        self._busy = asyncio.Semaphore(ORDERS_AT_ONCE)

    async def __call__(self, records: list[Record], progress: Progress) -> None:
        """Pay what these records request, and note how far they reach."""
        orders: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if isinstance(record.event, PayoutRequested):
                orders[record.stream].append(record)
        try:
            async with asyncio.TaskGroup() as tasks:
                for requests in orders.values():
                    tasks.create_task(self._pay_in_order(requests, progress))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None
        await self._service.appender.submit(progress.noted(records[-1].position))

    async def _pay_in_order(self, requests: list[Record], progress: Progress) -> None:
        async with self._busy:
            for place, record in enumerate(requests):
                try:
                    await self._pay(record.event, record)
                except StoreUnavailable:  # no fault of the order
                    raise
                except Exception as error:
                    progress.park(requests[place:], error)
                    return

    async def _pay(self, request: PayoutRequested, record: Record) -> None:
        origin = Origin(Actor(SYSTEM, NAME), record.correlation_id, record.id, record.traceparent)
        await self._hand_over(record.stream, request.payout, request.attempt, ("requested",), origin)

    async def _hand_over(
        self, stream: str, payout_id: str, attempt: int, while_in: Collection[str], origin: Origin
    ) -> None:
        """Hand over one attempt, unless its outcome is known: a crash or a second delivery must not matter."""
        async with self._service.files.reading(stream) as (file, _):
            payout = file.payouts[payout_id]
            if payout.status not in while_in or payout.attempt != attempt:
                return
            order = PayoutOrder(
                payout_id, attempt, payout.amount_fen, payout.kind, stream, payout.channel_refund_id or None
            )
        about = {"aftersales.payout": payout_id, "aftersales.attempt": attempt}
        with tracing.span(self._domain.source, "pay", "client", origin.traceparent, about) as step:
            outcome = await self._gateway.pay(order)
            step.tell({"aftersales.outcome": outcome.status})
        GATEWAY_CALLS.labels("pay", outcome.status).inc()
        await self._note(stream, payout_id, attempt, outcome, origin)

    async def _note(self, stream: str, payout: str, attempt: int, outcome: Outcome, origin: Origin) -> None:
        if outcome.status == "pending":
            return  # nothing new: it stays requested

        def decide(file: RefundsFile, context: Context) -> list[Event]:
            return list(self._domain.record_outcome(file, payout, attempt, outcome, context))

        await self._service.files.record(stream, decide, origin)

    async def ask_open(self, now: datetime) -> None:
        """Ask for the truth about every payout that is without outcome for a while, the oldest first."""
        place = ("", "")
        while rows := await self._service.store.query(OPEN_PAYOUTS, (utc(now - ASK_AFTER), *place, ASKED_AT_ONCE)):
            async with asyncio.TaskGroup() as tasks:
                for row in rows:
                    tasks.create_task(self._ask_safely(row))
            place = (rows[-1]["requested_at"], rows[-1]["payout"])

    async def _ask_safely(self, row: dict[str, Any]) -> None:
        """One payout that cannot be asked about holds up no other; the next round asks again."""
        async with self._busy:
            try:
                await self._ask(order_of(row["case_id"]), row["payout"], row["attempt"])
            except Exception:
                log.exception("not_asked", payout=row["payout"])

    async def _ask(self, stream: str, payout: str, attempt: int) -> None:
        outcome = await self._gateway.ask(payout, attempt)
        GATEWAY_CALLS.labels("ask", outcome.status).inc()
        if outcome.reason == NOT_RECEIVED:  # the same attempt once more is safe, unless a person decided meanwhile
            await self._hand_over(stream, payout, attempt, ("requested", "unknown"), _asking())
        else:
            await self._note(stream, payout, attempt, outcome, _asking())

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
