"""One row of a bill, whichever channel it came from: money in fen, signed as it moved, and a time with its offset."""

from datetime import datetime
from enum import StrEnum

import msgspec


class BillKind(StrEnum):
    """Which bill a file is."""

    WECHAT_TRADE = "wechat-trade"
    """WeChat Pay's transactions of a day, refunds as they were accepted (交易账单)."""
    WECHAT_FUND = "wechat-fund"
    """What moved on an account at WeChat Pay, with its balance (资金账单)."""
    ALIPAY_TRADE = "alipay-trade"
    """Alipay's transactions (业务账单, `trade`)."""
    ALIPAY_FUND = "alipay-fund"
    """What moved on an account at Alipay, with its balance (账务账单, `signcustomer`)."""
    MAPPED = "mapped"
    """Any other table, such as a carrier's claim statement, read through a saved column mapping."""


class RowKind(StrEnum):
    """What a row is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    FEE = "fee"
    TRANSFER = "transfer"
    OTHER = "other"


class Status(StrEnum):
    """How far it is, in our words."""

    SUCCEEDED = "succeeded"
    ACCEPTED = "accepted"
    """The channel took it on; whether it was paid, this bill will never say."""
    FAILED = "failed"


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row."""

    key: str
    """What makes it this row and no other: the same in every file that lists it."""
    part: str = ""
    """The file that it stands in, where the bill is an archive of several."""
    line: int
    """The line that it begins in, from 1."""
    channel: str
    """`wechat`, `alipay`, or as a mapping says (`courier/YTO`)."""
    merchant: str = ""
    """Our number at the channel; empty where neither file nor caller says it."""
    kind: RowKind
    order_ref: str = ""
    """Our number of the order, as we gave it to the channel."""
    refund_ref: str = ""
    """Our number of the refund, as we gave it to the channel."""
    channel_order_ref: str = ""
    """The channel's number of the transaction."""
    channel_ref: str = ""
    """The channel's number of this row alone: of the refund, or of the movement."""
    amount_fen: int
    """What moved for us: positive came in, negative went out."""
    gross_fen: int
    """What the order or refund was for before the channel's own coupons; `amount_fen` where there are none."""
    fee_fen: int = 0
    """What the channel kept of it; negative was given back. Where fees are rows of their own it is 0."""
    currency: str = "CNY"
    channel_status: str = ""
    """The status as the channel words it."""
    status: Status
    occurred_at: datetime
    balance_fen: int | None = None
    """The account's balance behind it, in bills that carry one."""
    raw: dict[str, str]
    """Every field by the name of its column, as it stands in the file without the channel's padding."""


class Expected(msgspec.Struct, frozen=True):
    """Whose bill it must be."""

    merchant: str = ""
    """Empty: any, but one."""
    currency: str = "CNY"
