"""What is compared: postings on the account `channel`, and rows of bills, both signed as money moved for the shop."""

from datetime import date
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from services.finance.bills.rows import RowKind, Status
from services.kernel.naming import order_of

PAYMENT: Final = RowKind.PAYMENT.value
REFUND: Final = RowKind.REFUND.value
FEE: Final = RowKind.FEE.value
TRANSFER: Final = RowKind.TRANSFER.value
FAILED: Final = Status.FAILED.value

#: The currency of the books.
CURRENCY: Final = "CNY"


class OurPosting(msgspec.Struct, frozen=True, gc=False):
    """One posting on `channel`: below zero we paid. `item` is our reference, `channel_ref` the channel's number."""

    event_id: str
    line: int
    type: str
    time: str
    day: str
    order_id: str
    case_id: str
    item: str
    channel_ref: str
    amount_fen: int


class BillRow(msgspec.Struct, frozen=True, gc=False):
    """One row of a bill. `is_trade`: of a transaction bill, which says what was accepted, not what moved."""

    key: str
    is_trade: bool
    kind: str
    order_ref: str
    refund_ref: str
    channel_order_ref: str
    channel_ref: str
    amount_fen: int
    fee_fen: int
    currency: str
    status: str
    channel_status: str
    at: str
    day: str


Item: TypeAlias = OurPosting | BillRow


def posting_order(posting: OurPosting) -> tuple[str, str, int]:
    """The order in which postings are looked at, however they were read."""
    return posting.time, posting.event_id, posting.line


def row_order(row: BillRow) -> tuple[str, str]:
    """The order in which rows are looked at, however they were read."""
    return row.at, row.key


def reference_of(row: BillRow) -> str:
    """Our reference of what a row is about: of the refund, or else of the order or transfer."""
    return row.refund_ref if row.kind == REFUND else row.order_ref


def numbers_of(row: BillRow) -> tuple[str, str]:
    """The channel's numbers in a row: its own, and that of the transaction that it belongs to."""
    return row.channel_ref, row.channel_order_ref


def order_of_row(row: BillRow) -> str:
    """The order that a row names, by itself or in the reference of a payout (`TB1-1:refund:F1`)."""
    return order_in(row.refund_ref) or order_in(row.order_ref) or row.order_ref


def order_in(reference: str) -> str:
    """The order of a payout's reference; empty where it is none of ours."""
    return order_of(reference.partition(":")[0]) if is_payout(reference) else ""


def is_payout(reference: str) -> bool:
    """Whether a reference has the form of a payout's id."""
    return reference.count(":") >= 2


@lru_cache(maxsize=4096)
def ordinal(day: str) -> int:
    """A day as a number that grows by one a day."""
    return date.fromisoformat(day).toordinal()


def day_of(number: int) -> str:
    """The day of such a number."""
    return date.fromordinal(number).isoformat()


def next_day(day: str) -> str:
    """The day behind it."""
    return day_of(ordinal(day) + 1)
