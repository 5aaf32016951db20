"""Postings and rows of bills by hand, and a run over them as the service makes one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from services.finance.reconciling.classifying import Known, Wanted
from services.finance.reconciling.items import (
    BillRow,
    OurPosting,
    day_of,
    ordinal,
    posting_order,
    reference_of,
    row_order,
)
from services.finance.reconciling.outcome import Outcome, Tally, What
from services.finance.reconciling.run import Run
from services.finance.reconciling.scope import Coverage, Scope

FIRST: Final = ordinal("2026-10-10")
#: The days of a run, unless a test says others, and one on each side that bills cover.
DAYS: Final = 5


def day(number: int) -> str:
    """The days of a run are 0 to 4."""
    return day_of(FIRST + number)


def posting(item: str, fen: int, at: int = 1, **changes: Any) -> OurPosting:
    """We paid so much back under a reference, or got it."""
    order = item.partition("-")[0]
    given = {
        "event_id": f"e-{item}",
        "line": 2,
        "type": "payout.succeeded",
        "time": f"{day(at)}T02:00:00+00:00",
        "day": day(at),
        "order_id": order,
        "case_id": f"{order}-1",
        "item": item,
        "channel_ref": "",
        "amount_fen": fen,
    }
    return OurPosting(**{**given, **changes})


def trade(ref: str, fen: int, at: int = 1, **changes: Any) -> BillRow:
    """A refund (or, with a positive amount, a payment) in a transaction bill."""
    is_refund = fen < 0
    given = {
        "key": f"wechat-trade:{ref}",
        "is_trade": True,
        "kind": "refund" if is_refund else "payment",
        "order_ref": ref.partition("-")[0] if is_refund else ref,
        "refund_ref": ref if is_refund else "",
        "channel_order_ref": "",
        "channel_ref": f"W-{ref}",
        "amount_fen": fen,
        "fee_fen": 0,
        "currency": "CNY",
        "status": "accepted" if is_refund else "succeeded",
        "channel_status": "PROCESSING" if is_refund else "SUCCESS",
        "at": f"{day(at)}T02:00:00+00:00",
        "day": day(at),
    }
    return BillRow(**{**given, **changes})


def fund(ref: str, fen: int, at: int = 1, **changes: Any) -> BillRow:
    """What moved on the account."""
    given = {
        "key": f"wechat-fund:{ref}:{at}",
        "is_trade": False,
        "channel_order_ref": f"W-{ref}",
        "channel_ref": f"flow-{ref}",
        "order_ref": "" if fen < 0 and changes.get("kind", "refund") == "refund" else ref,
        "status": "succeeded",
        "channel_status": "退款" if fen < 0 else "交易",
    }
    return trade(ref, fen, at, **{**given, **changes})


def scope(trade_days: Iterable[int] = range(-2, 7), fund_days: Iterable[int] = (), **changes: Any) -> Scope:
    """A run of five days whose bills cover these days."""
    given = {
        "channel": "wechat",
        "first_day": day(0),
        "last_day": day(DAYS - 1),
        "books_day": day(DAYS + 5),
        "trade": _coverage(trade_days),
        "fund": _coverage(fund_days),
    }
    return Scope(**{**given, **changes})


#: Both sorts of bills, for all days and those beside them.
BOTH: Final = range(-2, 7)


def _coverage(days: Iterable[int]) -> Coverage:
    return Coverage.of((day(number), day(number)) for number in days)


class Done(NamedTuple):
    """What a run came to."""

    outcomes: Sequence[Outcome]
    tally: Tally
    result: str

    def named(self) -> list[tuple[str, str]]:
        """What it told, and by which name."""
        return sorted((one.what.value, one.name) for one in self.outcomes)

    def found(self) -> list[tuple[str, int, int]]:
        """Its discrepancies: kind, ours and the bill's."""
        return [(one.name, one.expected_fen, one.found_fen) for one in self.outcomes if one.what is What.DISCREPANCY]


def done(scope: Scope, postings: Sequence[OurPosting], rows: Sequence[BillRow]) -> Done:
    """Run it, and look up what it wants in all that there is."""
    run, outcomes = Run(scope), list[Outcome]()
    ours, theirs = _by_day(postings), _by_day(rows)
    for one in scope.days:
        outcomes += run.take(one, ours[one], theirs[one])
    outcomes += run.finish(known_of(run.wanted(), postings, rows))
    return Done(outcomes, run.tally, run.result)


def known_of(wanted: Wanted, postings: Iterable[OurPosting], rows: Iterable[BillRow]) -> Known:
    """All that there is under the references that a run wants."""
    names = {*wanted.references, *wanted.items}
    by_item: dict[str, list[OurPosting]] = defaultdict(list)
    for posting in sorted(postings, key=posting_order):
        if posting.item in names:
            by_item[posting.item].append(posting)
    by_reference: dict[str, list[BillRow]] = defaultdict(list)
    for row in sorted(rows, key=row_order):
        if reference_of(row) in names:
            by_reference[reference_of(row)].append(row)
    of_orders: dict[str, list[OurPosting]] = defaultdict(list)
    for posting in sorted(postings, key=posting_order):
        if posting.order_id in wanted.orders:
            of_orders[posting.order_id].append(posting)
    return Known(by_item, of_orders, by_reference)


def _by_day(items: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for one in items:
        found[one.day].append(one)
    return found
