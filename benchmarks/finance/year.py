"""A year of a shop as its books know it: made order by order, posted by the rules that post real events.

Of four orders one has a case, on the day after. Of ten cases, five are damages that a courier is charged with, most of
which it pays ten days later; four are refunds; one is a deposit, and a voucher whose loss nobody bears yet. The same
for the same numbers.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, NamedTuple

from contracts.event import CaseEvent, Event
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.events.orders import Line, Order, OrderRecorded
from contracts.policy import load_policy
from services.finance.domain.order import OrderBooks
from services.finance.ledger.accounts import external_parties
from services.finance.views import FinanceViews
from services.kernel.views import values

DAYS: Final = 365
#: Days of a tenth of it.
TENTH: Final = 36
BEGAN: Final = datetime.fromisoformat("2026-01-01T00:00:00+08:00")
_ORDERS_OF_A_CASE: Final = 4
#: On average, of the ten kinds of cases.
_POSTINGS_OF_TEN: Final = 108
_CHANNELS: Final = ("taobao", "tmall", "jd", "pdd", "douyin", "wechat")
_CARRIERS: Final = ("YTO", "ZTO", "STO", "SF", "YUNDA")
_ARTICLES: Final = 40
_PROBLEMS: Final = ("logistics_delay", "damaged", "missing_parts")
#: When a courier pays, and how long it takes until the books hear of it.
_PAYS_AFTER: Final = timedelta(days=10)
_HEARD_AFTER: Final = timedelta(days=2)


class Fact(NamedTuple):
    """An event as the books fold it."""

    event: Event
    time: datetime
    actor: str
    id: str
    source: str = ""


class Part(NamedTuple):
    """Some days of the year: how many of it are over then, where the books stand, and their rows by table."""

    days: int
    position: int
    rows: Mapping[str, Sequence[tuple[Any, ...]]]


def parts(postings: int) -> Iterator[Part]:
    """A year with about so many postings, in parts that end with a month, or with the first tenth."""
    orders = postings * 10 // _POSTINGS_OF_TEN * _ORDERS_OF_A_CASE
    external = external_parties(load_policy())
    waiting: list[tuple[datetime, int, Fact, OrderBooks]] = []
    serial, position = count(), 0
    heard: dict[OrderBooks, dict[str, int]] = defaultdict(dict)
    subjects: dict[OrderBooks, set[str]] = defaultdict(set)
    for day in range(DAYS):
        for number in range(orders * day // DAYS, orders * (day + 1) // DAYS):
            file = OrderBooks(_order_id(number), external)
            for fact in _story(number, BEGAN + timedelta(days=day, minutes=number % 1440)):
                late = _HEARD_AFTER if isinstance(fact.event, li.LossRecovered) else timedelta()
                heappush(waiting, (fact.time + late, next(serial), fact, file))
        evening = BEGAN + timedelta(days=day + 1)
        while waiting and waiting[0][0] < evening:
            _, _, fact, file = heappop(waiting)
            position += 1
            file.evolve(fact)
            heard[file][fact.id] = position
            subjects[file].add(fact.event.subject)
        if evening.day == 1 or day + 1 == TENTH:
            yield Part(day + 1, position, _rows(heard, subjects))
            heard.clear()
            subjects.clear()


def _rows(
    heard: Mapping[OrderBooks, Mapping[str, int]], subjects: Mapping[OrderBooks, set[str]]
) -> Mapping[str, Sequence[tuple[Any, ...]]]:
    views = FinanceViews()
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for file, positions in heard.items():
        for told in (views.rows(file, subjects[file]), views.event_rows(file, positions)):
            for table, rows in told.items():
                found[table] += values(rows, views.tables[table])
    return found


def _order_id(number: int) -> str:
    return f"TB26{number:08}"


def _story(number: int, placed: datetime) -> Iterator[Fact]:
    """What happens in an order; how the events of its case are numbered tells what a loss comes from."""
    order_id, price_fen = _order_id(number), 20_000 + number * 37 % 100_000
    carrier, sku = _CARRIERS[number % len(_CARRIERS)], f"LOCK-{number * 7 % _ARTICLES:02}"
    line = Line(line_id="L1", sku=sku, kind="product", quantity=1, paid_fen=price_fen, unit_cost_fen=price_fen // 2)
    channel = _CHANNELS[number % len(_CHANNELS)]
    order = Order(
        order_id=order_id, channel=channel, buyer_id=f"b{number}", ordered_at=placed, lines=(line,), carrier=carrier
    )
    yield Fact(OrderRecorded(order=order), placed, "system/orders", f"{order_id}.0")
    case, place = divmod(number, _ORDERS_OF_A_CASE)
    if place:
        return
    begun = placed + timedelta(days=1)
    paid = (
        _compensated(order_id, case, carrier)
        if case % 10 < 5
        else _refunded(order_id, case, line)
        if case % 10 < 9
        else _in_suspense(order_id, case)
    )
    told = [*_opened(order_id, case, begun), *paid, *_closed(order_id, case)]
    for step, event in enumerate(told, start=1):
        # An hour between them, and as long as makes some cases miss what was promised.
        time = begun + timedelta(hours=step, minutes=case * 7 % 60)
        if isinstance(event, li.LossRecovered):
            time += _PAYS_AFTER
        yield Fact(event, time if step > 2 else begun, f"agent/{case % 12}", f"{order_id}.{step}")


def _opened(order_id: str, case: int, begun: datetime) -> Iterator[CaseEvent]:
    case_id = f"{order_id}-1"
    yield c.CaseOpened(
        case_id=case_id,
        order_id=order_id,
        problem=_PROBLEMS[case % len(_PROBLEMS)],
        lines=(c.LineQuantity(line_id="L1", quantity=1),),
        description="sealed:…",
    )
    answer, solution = timedelta(hours=3, minutes=50), timedelta(hours=10, minutes=30)
    yield c.PromiseMade(case_id=case_id, first_answer_due_at=begun + answer, solution_due_at=begun + solution)


def _compensated(order_id: str, case: int, carrier: str) -> Iterator[CaseEvent]:
    case_id, party, fen = f"{order_id}-1", f"courier/{carrier}", 500 + case * 13 % 3_000
    yield _assessed(case_id, "transit_damage", party)
    yield from _compensation(case_id, case, "cash", fen)
    yield li.LossRecorded(case_id=case_id, entry="cash", amount_fen=fen, cause_id=f"{order_id}.5")
    yield li.LossCharged(case_id=case_id, party=party, amount_fen=fen)
    if case % 10 < 3:
        yield li.LossRecovered(case_id=case_id, party=party, amount_fen=fen, payment_ref=f"CLAIM-{case}")


def _refunded(order_id: str, case: int, line: Line) -> Iterator[CaseEvent]:
    case_id, fen = f"{order_id}-1", line.paid_fen
    refunded = r.RefundedLine(
        line_id=line.line_id,
        quantity=1,
        kind=line.kind,
        unit_cost_fen=line.unit_cost_fen,
        goods_fen=fen,
        compensation_deducted_fen=0,
        price_difference_deducted_fen=0,
        refund_fen=fen,
    )
    party = ("production", "warehouse")[case % 2]
    yield _assessed(case_id, "accessory_defective" if case % 2 == 0 else "wrong_goods_shipped", party)
    yield r.RefundCalculated(
        case_id=case_id,
        refund="F1",
        lines=(refunded,),
        deductions=(),
        goods_fen=fen,
        compensation_deducted_fen=0,
        price_difference_deducted_fen=0,
        refund_fen=fen,
        carried_deduction_fen=0,
    )
    moved: dict[str, Any] = {"case_id": case_id, "kind": "refund", "item": "F1", "amount_fen": fen}
    payout = r.payout_id(case_id, "refund", "F1")
    yield r.PayoutRequested(payout=payout, **moved)
    yield r.PayoutSucceeded(payout=payout, channel_ref=f"50{case:010}", **moved)
    yield r.RefundSettled(case_id=case_id, refund="F1", refund_fen=fen, lines=(refunded,), deductions=())
    yield li.LossRecorded(case_id=case_id, entry="goods", amount_fen=line.unit_cost_fen, cause_id=f"{order_id}.7")
    yield li.LossCharged(case_id=case_id, party=party, amount_fen=line.unit_cost_fen)


def _in_suspense(order_id: str, case: int) -> Iterator[CaseEvent]:
    case_id, fen = f"{order_id}-1", 1_000
    yield c.DepositCollected(case_id=case_id, deposit="D1", amount_fen=5_000, payment_ref=f"WX-{case}")
    yield from _compensation(case_id, case, "voucher", fen)
    yield li.LossRecorded(case_id=case_id, entry="voucher", amount_fen=fen, cause_id=f"{order_id}.5")


def _closed(order_id: str, case: int) -> Iterator[CaseEvent]:
    case_id = f"{order_id}-1"
    yield c.CaseClosed(case_id=case_id, resolution="sealed:…")
    if case % 3 == 0:
        yield c.CaseRated(case_id=case_id, score=case % 5 + 1)


def _assessed(case_id: str, cause: str, party: str) -> CaseEvent:
    return c.CauseAssessed(
        case_id=case_id,
        cause=cause,
        party=party,
        freight_borne_by="merchant",
        in_warranty=True,
        human_caused=False,
        affects_use=False,
    )


def _compensation(case_id: str, case: int, kind: str, fen: int) -> Iterator[CaseEvent]:
    given: dict[str, Any] = {
        "case_id": case_id,
        "proposal": "P1",
        "kind": kind,
        "amount_fen": fen,
        "allocation": (),
    }
    yield c.CompensationProposed(**given, proposed_by=f"agent/{case % 12}")
    yield c.CompensationPaid(**given, payment_ref=f"ALI-{case}")
