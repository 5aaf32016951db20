"""Rows of the ledger: each posting, and of each order what statements ask of it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from contracts.events.orders import Order
from services.finance.domain.books import Books
from services.finance.domain.order import OrderBooks
from services.finance.ledger.postings import Posting
from services.kernel.shop_time import shop_day, shop_month
from services.kernel.views import Row, utc

#: The account that is kept by what only the order says.
CHANNEL: Final = "channel"

POSTINGS = (
    "event_id",
    "line",
    "position",
    "type",
    "time",
    "day",
    "month",
    "order_id",
    "case_id",
    "account",
    "party",
    "amount_fen",
    "memo",
    "item",
    "channel_ref",
)
#: The same of corrections, which belong to no case's file: `of_case` is what each is about.
CORRECTED = (*("of_case" if column == "case_id" else column for column in POSTINGS), "correction")
ORDERS = (
    "order_id",
    "channel",
    "ordered_at",
    "ordered_month",
    "paid_fen",
    "carrier",
    "insured",
    "skus",
    "misposted",
)

TABLES: Mapping[str, Sequence[str]] = {
    "posting_view": POSTINGS,
    "corrected_view": CORRECTED,
    "order_fact_view": ORDERS,
}
KEYS: Mapping[str, int] = {"posting_view": 2, "corrected_view": 2, "order_fact_view": 1}
OWNERS: Mapping[str, str] = {"posting_view": "case_id", "corrected_view": "correction", "order_fact_view": "order_id"}


def rows(file: OrderBooks | Books, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """What is known of an order; nothing of the books themselves."""
    if isinstance(file, Books) or file.order is None:
        return {}
    return {"order_fact_view": [_order_row(file, file.order)]}


def event_rows(file: OrderBooks | Books, positions: Mapping[str, int]) -> Mapping[str, Sequence[Row]]:
    """What these events posted."""
    if isinstance(file, Books):
        return {"corrected_view": _corrected(file, positions)}
    posted = file.postings
    return {
        "posting_view": [
            # A channel's name is the order's, which may be heard of later: the row leaves it open.
            {**_row(one, line, position), "case_id": one.case_id, "party": "" if one.account == CHANNEL else one.party}
            for event_id, position in positions.items()
            for line, one in enumerate(posted.get(event_id, ()), start=1)
        ]
    }


def _corrected(file: Books, positions: Mapping[str, int]) -> Sequence[Row]:
    return [
        {**_row(one, line, positions[event_id]), "of_case": one.case_id, "correction": correction}
        for correction, (event_id, postings) in file.corrections.posted.items()
        if event_id in positions
        for line, one in enumerate(postings, start=1)
    ]


def _row(posting: Posting, line: int, position: int) -> Row:
    """All columns but the case's, which is called differently."""
    day = shop_day(posting.time)
    return {
        "event_id": posting.event_id,
        "line": line,
        "position": position,
        "type": posting.type,
        "time": utc(posting.time),
        "day": day,
        "month": day[:7],
        "order_id": posting.order_id,
        "account": posting.account,
        "party": posting.party,
        "amount_fen": posting.amount_fen,
        "memo": posting.memo,
        "item": posting.item,
        "channel_ref": posting.channel_ref,
    }


def _order_row(file: OrderBooks, order: Order) -> Row:
    return {
        "order_id": file.order_id,
        "channel": file.channel,
        "ordered_at": utc(order.ordered_at),
        "ordered_month": shop_month(order.ordered_at),
        "paid_fen": sum(line.paid_fen for line in order.lines),
        "carrier": order.carrier,
        "insured": int(order.freight_insurance is not None),
        "skus": "|".join(["", *sorted({line.sku for line in order.lines}), ""]),
        "misposted": len(file.misposted),
    }
