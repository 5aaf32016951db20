"""Payouts: each is asked for in order and paid once, and the provider knows of none that we do not."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from contracts.events import refunds as r
from contracts.policy import Text
from services.doctor import ways
from services.doctor.finding import Wrong
from services.doctor.look import Look, streams
from services.kernel.log import Record
from services.refunds.gateway import NOT_RECEIVED

#: How long a payout may be without outcome before the provider is asked: the cashier asks much earlier.
OPEN_LONG: Final = timedelta(minutes=15)

PayoutEvent: TypeAlias = r.PayoutRequested | r.PayoutSucceeded | r.PayoutFailed | r.PayoutUnknown


@dataclass(slots=True)
class _Payout:
    """What the log tells of one payout."""

    case_id: str
    attempts: list[int] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    paid: list[str] = field(default_factory=list)
    told_unasked: bool = False
    last: str = ""
    since: datetime = datetime.max

    @property
    def is_open(self) -> bool:
        """Nobody knows yet how its last attempt ended."""
        return not self.paid and self.last in ("requested", "unknown")


class _Payouts:
    """The payouts of an order."""

    def __init__(self, stream: str) -> None:
        self.payouts: dict[str, _Payout] = {}

    def see(self, record: Record) -> None:
        event = record.event
        if not isinstance(event, PayoutEvent):
            return
        payout = self.payouts.setdefault(event.payout, _Payout(event.case_id))
        payout.since = record.time
        payout.amounts.append(event.amount_fen)
        match event:
            case r.PayoutRequested():
                payout.attempts.append(event.attempt)
                payout.last = "requested"
            case r.PayoutSucceeded():
                payout.paid.append(event.channel_ref)
                payout.last = "succeeded"
            case r.PayoutFailed():
                payout.last = "failed"
            case r.PayoutUnknown():
                payout.last = "unknown"
        payout.told_unasked |= event.attempt not in payout.attempts


async def payouts(look: Look) -> AsyncIterator[Wrong]:
    """Each payout was asked for attempt by attempt, with one amount, and succeeded once at most; one that is open for
    long is open at the provider as well."""
    async for stream in streams(look, _Payouts):
        if stream.broken:
            yield stream.broken
        for reference, payout in stream.fold.payouts.items():
            for wrong in _by_itself(look, reference, payout):
                yield wrong
            if asked := await _by_the_provider(look, stream.name, reference, payout):
                yield asked


def _by_itself(look: Look, reference: str, payout: _Payout) -> list[Wrong]:
    found = []
    if len(payout.paid) > 1:
        what = Text(zh="同一笔打款成功了不止一次", en="one payout succeeded more than once")
        found.append((what, "1", ", ".join(payout.paid)))
    dense = list(range(1, len(payout.attempts) + 1))
    if payout.attempts != dense or payout.told_unasked:
        what = Text(
            zh="打款的尝试次序不对,或结果没有对应的请求",
            en="its attempts are out of order, or an outcome was never asked for",
        )
        found.append((what, str(dense), str(payout.attempts)))
    if len(set(payout.amounts)) > 1:
        what = Text(zh="同一笔打款的金额前后不同(分)", en="one payout has several amounts, in fen")
        found.append((what, str(payout.amounts[0]), ", ".join(map(str, payout.amounts[1:]))))
    return [Wrong(reference, what, expected, told, ways.finance(look.name)) for what, expected, told in found]


async def _by_the_provider(look: Look, stream: str, reference: str, payout: _Payout) -> Wrong | None:
    """Ask whoever pays about a payout that is open for long. Finance's own worklist (`manual`) is open by nature."""
    if look.shop.gateway.name == "manual" or not payout.is_open or look.shop.now - payout.since < OPEN_LONG:
        return None
    outcome = await look.shop.gateway.ask(reference, payout.attempts[-1])
    if outcome.status == "pending" or not await _still_open(look, stream, reference):
        return None
    said = " ".join(filter(None, (outcome.status, outcome.channel_ref, outcome.reason)))
    if outcome.status in ("succeeded", "failed") or outcome.reason == NOT_RECEIVED:
        what = Text(zh="支付方知道结果,我们没有记录", en="the provider knows how it ended, and we do not")
        return Wrong(reference, what, said, payout.last, ways.start(look.name))
    what = Text(zh="很久没有结果,支付方也说不清", en="without outcome for long, and the provider cannot tell either")
    return Wrong(reference, what, "succeeded | failed", said, ways.confirm(payout.case_id, reference))


async def _still_open(look: Look, stream: str, reference: str) -> bool:
    """Whether it is open now, after the provider was asked."""
    now = _Payouts(stream)
    async for page in look.live.stream_pages(stream):
        for record in page:
            now.see(record)
    return now.payouts[reference].is_open
