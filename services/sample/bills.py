"""The bills that WeChat Pay and Alipay deliver of a month: transactions, and what moved on the account."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from services.finance.bills.rows import Row, RowKind, Status
from services.sample import writing
from services.sample.channel import Movement
from services.sample.year import Month

#: The currency of the shop.
CNY: Final = "CNY"
#: Our numbers at the channels.
MERCHANT: Final = "1627859777"
ALIPAY_MERCHANT: Final = "2088123456789012"
CHANNELS: Final = ("wechat", "alipay")
#: What is on each account to begin with, and is left there when money is taken to the bank.
_RESERVE_FEN: Final = 50_000_000
#: The day of the month on which money is taken to the bank, and the hour.
_BANKED: Final = (25, 3)
#: WeChat Pay tells of so many refunds out of a hundred only that it took them on.
_ONLY_ACCEPTED: Final = 25
_FEE_PER_MILLE: Final = 6


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A movement as bills list it: with `trade` in the transactions, with `settled` in what moved on the account."""

    movement: Movement
    trade: bool = True
    settled: bool = True
    status: Status = Status.SUCCEEDED
    currency: str = CNY
    closed: bool = False
    """Whether what was paid back came back once more, as the buyer's account could not take it."""
    fee_kept_fen: int | None = None
    """What the account says of the fee, where that is not what the transaction says."""


class MonthOfBills(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel lists of a month, and what was on the account before."""

    channel: str
    month: Month
    listed: Sequence[Listed]
    opening_fen: int = _RESERVE_FEN


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a channel, and the currency that it is in."""

    kind: str
    channel: str
    month: str
    name: str
    content: bytes
    currency: str = CNY

    def put(self, folder: Path) -> Path:
        """Write it into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / self.name
        file.write_bytes(self.content)
        return file


def listed(movement: Movement) -> Listed:
    """A movement as its channel usually lists it."""
    only_accepted = movement.channel == "wechat" and movement.is_refund and _drawn(movement.ref, 100) < _ONLY_ACCEPTED
    return Listed(movement=movement, status=Status.ACCEPTED if only_accepted else Status.SUCCEEDED)


def fee_of(amount_fen: int) -> int:
    """The channel's fee for a payment, in fen; as much is given back with a refund."""
    return (amount_fen * _FEE_PER_MILLE + 500) // 1000


def written(bill: MonthOfBills) -> Sequence[Written]:
    """Both bills of a month, transactions first; those of WeChat Pay in another currency have a bill of their own."""
    trade, fund = trade_rows(bill), fund_rows(bill)
    return _WRITERS[bill.channel](bill, trade, fund)


def closing_fen(bill: MonthOfBills) -> int:
    """What is on the account in the end."""
    rows = fund_rows(bill)
    return (rows[-1].balance_fen or 0) if rows else bill.opening_fen


# -- the rows


def trade_rows(bill: MonthOfBills) -> Sequence[Row]:
    """The transactions of a month."""
    return [_trade_row(one) for one in _in_order(bill.listed) if one.trade]


def _trade_row(one: Listed) -> Row:
    movement = one.movement
    sign = -1 if movement.is_refund else 1
    return Row(
        key="",
        line=0,
        channel=movement.channel,
        merchant=MERCHANT if movement.channel == "wechat" else ALIPAY_MERCHANT,
        kind=RowKind.REFUND if movement.is_refund else RowKind.PAYMENT,
        order_ref=movement.of,
        refund_ref=movement.ref if movement.is_refund else "",
        channel_order_ref=movement.paid_number,
        channel_ref=movement.number,
        amount_fen=sign * movement.amount_fen,
        gross_fen=sign * movement.amount_fen,
        fee_fen=sign * fee_of(movement.amount_fen),
        currency=one.currency,
        channel_status=_STATUS[movement.channel](one),
        status=one.status,
        occurred_at=movement.at,
        raw={},
    )


_WECHAT_STATUS: Final = {Status.SUCCEEDED: "SUCCESS", Status.ACCEPTED: "PROCESSING", Status.FAILED: "CHANGE"}
_STATUS: Final[Mapping[str, Callable[[Listed], str]]] = {
    "wechat": lambda one: _WECHAT_STATUS[one.status],
    "alipay": lambda one: "退款" if one.movement.is_refund else "交易",
}


class _Flow(msgspec.Struct, frozen=True):
    """Money that moves on an account: what the channel calls it, and of which movement it is."""

    at: datetime
    number: str
    kind: RowKind
    called: str
    amount_fen: int
    movement: Movement | None = None


#: What channels call a payment, a refund, a fee taken and given back, a refund closed, and money taken to the bank.
_CALLED: Final = {
    "wechat": ("交易", "退款", "扣除交易手续费", "退还交易手续费", "退款关闭", "提现"),
    "alipay": ("在线支付", "交易退款", "收费", "退费", "退款", "提现"),
}


def fund_rows(bill: MonthOfBills) -> Sequence[Row]:
    """What moved on the account in a month, with its balance, and how it was taken to the bank."""
    every = (flow for one in _in_order(bill.listed) if one.settled for flow in _flows(one))
    flows = sorted(every, key=lambda flow: flow.at)
    banked_at = bill.month.first + timedelta(days=_BANKED[0] - 1, hours=_BANKED[1])
    balance_fen, rows, is_banked = bill.opening_fen, list[Row](), False
    for flow in flows:
        if not is_banked and flow.at >= banked_at and balance_fen > _RESERVE_FEN:
            is_banked = True
            banked = _Flow(
                banked_at,
                _number(f"{bill.channel} {bill.month} bank"),
                RowKind.TRANSFER,
                _CALLED[bill.channel][5],
                _RESERVE_FEN - balance_fen,
            )
            balance_fen = _RESERVE_FEN
            rows.append(_fund_row(bill.channel, banked, balance_fen))
        balance_fen += flow.amount_fen
        rows.append(_fund_row(bill.channel, flow, balance_fen))
    return rows


def _flows(one: Listed) -> Iterable[_Flow]:
    movement = one.movement
    sign = -1 if movement.is_refund else 1
    pays, refunds, fee, fee_back, closed, _ = _CALLED[movement.channel]
    settled = _same_day(movement.at, 15 + _drawn(f"{movement.number}{movement.ref} settled", 60))
    kind = RowKind.REFUND if movement.is_refund else RowKind.PAYMENT
    key = f"{movement.channel} {movement.number} {movement.ref}"
    yield _Flow(
        settled,
        _number(key),
        kind,
        refunds if movement.is_refund else pays,
        sign * movement.amount_fen,
        movement,
    )
    fee_fen = fee_of(movement.amount_fen) if one.fee_kept_fen is None else one.fee_kept_fen
    if fee_fen:
        called = fee_back if movement.is_refund else fee
        yield _Flow(settled, _number(f"{key} fee"), RowKind.FEE, called, -sign * fee_fen, movement)
    if one.closed:
        back = _same_day(settled, 3_600 + _drawn(f"{key} closed", 3_600))
        yield _Flow(back, _number(f"{key} closed"), kind, closed, -sign * movement.amount_fen, movement)


def _fund_row(channel: str, flow: _Flow, balance_fen: int) -> Row:
    movement = flow.movement
    is_refund = movement is not None and movement.is_refund and channel == "wechat"
    return Row(
        key="",
        line=0,
        channel=channel,
        kind=flow.kind,
        order_ref="" if movement is None or is_refund else movement.of,
        refund_ref=movement.ref if movement is not None and is_refund else "",
        channel_order_ref=(movement.number if channel == "wechat" else movement.paid_number) if movement else "",
        channel_ref=flow.number,
        amount_fen=flow.amount_fen,
        gross_fen=flow.amount_fen,
        channel_status=flow.called,
        status=Status.SUCCEEDED,
        occurred_at=flow.at,
        balance_fen=balance_fen,
        raw={},
    )


def _in_order(every: Iterable[Listed]) -> Sequence[Listed]:
    return sorted(every, key=lambda one: (one.movement.at, one.movement.number, one.movement.ref))


def _same_day(at: datetime, seconds: int) -> datetime:
    """So many seconds later, but on the same day."""
    last = at.replace(hour=23, minute=59, second=59)
    return min(at + timedelta(seconds=seconds), last)


def _drawn(text: str, below: int) -> int:
    """A number that follows from a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") % below


def _number(text: str) -> str:
    """A number of a movement on an account that follows from a text."""
    return f"{_drawn(text, 10**18):018d}"


# -- the files


def _wechat(bill: MonthOfBills, trade: Sequence[Row], fund: Sequence[Row]) -> Sequence[Written]:
    files = []
    for currency in (CNY, *sorted({row.currency for row in trade} - {CNY})):
        rows = [row for row in trade if row.currency == currency]
        files.append(_file(bill, "wechat-trade", "csv", writing.wechat_trade(rows).encode("utf-8-sig"), currency))
    return [*files, _file(bill, "wechat-fund", "csv", writing.wechat_fund(fund).encode("utf-8-sig"))]


def _alipay(bill: MonthOfBills, trade: Sequence[Row], fund: Sequence[Row]) -> Sequence[Written]:
    period = bill.month.first, bill.month.end
    account = f"{ALIPAY_MERCHANT}0156"
    files = []
    for kind, what, text, rows in (
        ("alipay-trade", "业务", writing.alipay_trade(trade, account, period), trade),
        ("alipay-fund", "账务", writing.alipay_fund(fund, account, period), fund),
    ):
        texts = {f"{what}明细": text, f"{what}明细(汇总)": writing.alipay_summary(rows, what)}
        content = writing.zipped(account=account, day=str(bill.month).replace("-", ""), **texts)
        files.append(_file(bill, kind, "zip", content))
    return files


_WRITERS: Final[Mapping[str, Callable[[MonthOfBills, Sequence[Row], Sequence[Row]], Sequence[Written]]]] = {
    "wechat": _wechat,
    "alipay": _alipay,
}


def _file(bill: MonthOfBills, kind: str, suffix: str, content: bytes, currency: str = CNY) -> Written:
    month = str(bill.month)
    name = f"{kind}-{month}.{suffix}" if currency == CNY else f"{kind}-{month}-{currency}.{suffix}"
    return Written(kind=kind, channel=bill.channel, month=month, name=name, content=content, currency=currency)
