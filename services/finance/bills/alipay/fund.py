"""The fund bill: what moved on an account, with its balance (账务账单, `signcustomer`)."""

from collections.abc import Iterator, Mapping
from typing import Final

from services.finance.bills.alipay.sheet import CHANNEL, Totals, must_be_within, sheet
from services.finance.bills.amounts import fen_of
from services.finance.bills.columns import Columns
from services.finance.bills.examination import Examination
from services.finance.bills.keys import key_of, must_be_a_number, number_of
from services.finance.bills.lines import Lines
from services.finance.bills.mistakes import Wrong
from services.finance.bills.rows import BillKind, Row, RowKind, Status
from services.finance.bills.times import moment_of

COLUMNS: Final = Columns(
    needed=(
        *("账务流水号", "业务流水号", "商户订单号", "发生时间", "收入金额(+元)", "支出金额(-元)"),
        *("账户余额(元)", "业务类型"),
    ),
    optional=(
        *("商品名称", "对方账号", "交易渠道", "备注"),
        *("业务描述", "业务账单来源", "业务基础订单号", "业务订单号"),
    ),
    earlier={},
)
#: 业务类型 of movements. What is not here is `other`: Alipay adds to them.
_KINDS: Final = {
    "在线支付": RowKind.PAYMENT,
    "交易付款": RowKind.PAYMENT,
    "交易退款": RowKind.REFUND,
    "退款": RowKind.REFUND,
    "收费": RowKind.FEE,
    "退费": RowKind.FEE,
    "转账": RowKind.TRANSFER,
    "提现": RowKind.TRANSFER,
    "充值": RowKind.TRANSFER,
}


def rows(lines: Lines, seen: Examination) -> Iterator[Row]:
    """The rows of the details of a fund bill; its footer is checked behind the last."""
    totals = {"支出": Totals(), "收入": Totals()}

    def take(raw: dict[str, str], line: int) -> Row:
        row = seen.take(_row(raw, line, lines, seen))
        total = totals["支出" if row.amount_fen < 0 else "收入"]
        total.rows += 1
        total.amount += row.amount_fen
        return row

    yield from sheet(lines, seen, COLUMNS, take, totals)
    came, went = totals["收入"], totals["支出"]
    seen.figures["收入笔数"] += came.rows
    seen.figures["收入金额(+元)"] += came.amount
    seen.figures["支出笔数"] += went.rows
    seen.figures["支出金额(-元)"] += went.amount
    seen.figures["总金额(元)"] += came.amount + went.amount


def _row(raw: dict[str, str], line: int, lines: Lines, seen: Examination) -> Row:
    came, went = _direction(raw, "收入金额(+元)", 1), _direction(raw, "支出金额(-元)", -1)
    if came and went:
        raise Wrong("both_directions", "支出金额(-元)")
    number = must_be_a_number(raw, "账务流水号")
    moment = moment_of(raw["发生时间"], "发生时间")
    must_be_within(moment, "发生时间", raw["发生时间"], seen)
    return Row(
        key=key_of(BillKind.ALIPAY_FUND, number),
        part=lines.part.name,
        line=line,
        channel=CHANNEL,
        merchant=seen.merchant,
        kind=_KINDS.get(raw["业务类型"], RowKind.OTHER),
        order_ref=number_of(raw, "商户订单号"),
        channel_order_ref=number_of(raw, "业务流水号"),
        channel_ref=number,
        amount_fen=came + went,
        gross_fen=came + went,
        currency=seen.in_currency("CNY", ""),
        channel_status=raw["业务类型"],
        status=Status.SUCCEEDED,
        occurred_at=moment,
        balance_fen=fen_of(raw["账户余额(元)"], "账户余额(元)"),
        raw=raw,
    )


def _direction(raw: Mapping[str, str], field: str, sign: int) -> int:
    """What came in, or went out; nothing may be written for none."""
    fen = fen_of(raw[field], field) if raw[field] else 0
    if fen * sign < 0:
        raise Wrong("amount_sign", field, found=raw[field])
    return fen
