"""The fund bill: what moved on an account, with its balance (资金账单)."""

from collections.abc import Iterator
from typing import Final

from services.finance.bills.amounts import fen_of
from services.finance.bills.columns import Columns
from services.finance.bills.examination import Examination
from services.finance.bills.keys import key_of_all, must_be_a_number, number_of
from services.finance.bills.lines import Lines
from services.finance.bills.mistakes import Wrong
from services.finance.bills.rows import BillKind, Row, RowKind, Status
from services.finance.bills.times import moment_of
from services.finance.bills.wechat.sheet import CHANNEL, check, sheet

COLUMNS: Final = Columns(
    needed=(
        *("记账时间", "微信支付业务单号", "资金流水单号", "业务名称", "业务类型", "收支类型", "收支金额(元)"),
        *("账户结余(元)", "业务凭证号"),
    ),
    optional=("资金变更提交申请人", "备注"),
    earlier={},
)
TOTALS: Final = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")
#: 业务类型. What is neither here nor in `_TRANSFERS` is `other`: WeChat Pay adds to them.
_KINDS: Final = {
    "交易": RowKind.PAYMENT,
    "退款": RowKind.REFUND,
    "退款关闭": RowKind.REFUND,
    "扣除交易手续费": RowKind.FEE,
    "退还交易手续费": RowKind.FEE,
}
#: 业务名称 of money that was moved without an order.
_TRANSFERS: Final = frozenset({"充值/提现", "企业付款", "商家转账"})


def rows(lines: Lines, seen: Examination) -> Iterator[Row]:
    """The rows of a fund bill; its footer is checked behind the last.

    The file does not say whose it is: rows carry the merchant that the caller expects.
    """
    names = COLUMNS.of(next(lines).split(","), lines)
    sums = dict.fromkeys(TOTALS, 0)

    def take(raw: dict[str, str], line: int) -> Row:
        row = seen.take(_row(raw, line, lines, seen))
        sums["资金流水总笔数"] += 1
        sums["收入笔数" if raw["收支类型"] == "收入" else "支出笔数"] += 1
        sums["收入金额" if raw["收支类型"] == "收入" else "支出金额"] += abs(row.amount_fen)
        return row

    footer = yield from sheet(lines, seen, names, take, TOTALS)
    check(lines, seen, footer, sums)


def _row(raw: dict[str, str], line: int, lines: Lines, seen: Examination) -> Row:
    amount = fen_of(raw["收支金额(元)"], "收支金额(元)")
    if amount < 0:
        raise Wrong("amount_sign", "收支金额(元)", found=raw["收支金额(元)"])
    if raw["收支类型"] not in ("收入", "支出"):
        raise Wrong("direction", "收支类型", found=raw["收支类型"])
    signed = amount if raw["收支类型"] == "收入" else -amount
    otherwise = RowKind.TRANSFER if raw["业务名称"] in _TRANSFERS else RowKind.OTHER
    kind = _KINDS.get(raw["业务类型"], otherwise)
    voucher = number_of(raw, "业务凭证号")
    return Row(
        key=key_of_all(BillKind.WECHAT_FUND, raw),
        part=lines.part.name,
        line=line,
        channel=CHANNEL,
        merchant=seen.whose("", ""),
        kind=kind,
        order_ref="" if kind is RowKind.REFUND else voucher,
        refund_ref=voucher if kind is RowKind.REFUND else "",
        channel_order_ref=number_of(raw, "微信支付业务单号"),
        channel_ref=must_be_a_number(raw, "资金流水单号"),
        amount_fen=signed,
        gross_fen=signed,
        currency=seen.in_currency("CNY", ""),
        channel_status=raw["业务类型"],
        status=Status.SUCCEEDED,
        occurred_at=moment_of(raw["记账时间"], "记账时间"),
        balance_fen=fen_of(raw["账户结余(元)"], "账户结余(元)"),
        raw=raw,
    )
