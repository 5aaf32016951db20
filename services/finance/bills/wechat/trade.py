"""The trade bill: transactions of a day, refunds as they were accepted (交易账单: ALL, SUCCESS, REFUND)."""

from collections.abc import Iterator, Mapping
from typing import Final

from services.finance.bills.amounts import YUAN_DECIMALS, fen_of
from services.finance.bills.columns import Columns
from services.finance.bills.examination import Examination
from services.finance.bills.keys import key_of, must_be_a_number, number_of
from services.finance.bills.lines import Lines
from services.finance.bills.mistakes import Unreadable, Wrong
from services.finance.bills.rows import BillKind, Row, RowKind, Status
from services.finance.bills.times import moment_of
from services.finance.bills.wechat.sheet import CHANNEL, FEE_DECIMALS, check, sheet

_REFUND_COLUMNS: Final = ("微信退款单号", "商户退款单号", "退款金额", "退款状态")
COLUMNS: Final = Columns(
    needed=("交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "货币种类", "应结订单金额", "手续费"),
    optional=(
        *("公众账号ID", "特约商户号", "设备号", "用户标识", "交易类型", "付款银行", "代金券金额", "退款申请时间"),
        *("退款成功时间", *_REFUND_COLUMNS, "充值券退款金额", "退款类型", "商品名称", "商户数据包", "费率", "订单金额"),
        *("申请退款金额", "费率备注"),
    ),
    earlier={
        "子商户号": "特约商户号",
        "总金额": "应结订单金额",
        "企业红包金额": "代金券金额",
        "代金券或立减优惠金额": "代金券金额",
        "企业红包退款金额": "充值券退款金额",
        "代金券或立减优惠退款金额": "充值券退款金额",
    },
)
#: Which column a total adds up; `None` counts the rows.
TOTALS: Final[Mapping[str, str | None]] = {
    "总交易单数": None,
    "应结订单总金额": "应结订单金额",
    "总交易额": "应结订单金额",
    "退款总金额": "退款金额",
    "总退款金额": "退款金额",
    "充值券退款总金额": "充值券退款金额",
    "总企业红包退款金额": "充值券退款金额",
    "总代金券或立减优惠退款金额": "充值券退款金额",
    "手续费总金额": "手续费",
    "订单总金额": "订单金额",
    "申请退款总金额": "申请退款金额",
}
#: 退款状态, as the refund stood when the bill was made.
_REFUND_STATUS: Final = {
    "SUCCESS": Status.SUCCEEDED,
    "PROCESSING": Status.ACCEPTED,
    "CHANGE": Status.FAILED,
    "FAIL": Status.FAILED,
    "REFUNDCLOSE": Status.FAILED,
    "CLOSED": Status.FAILED,
    "ABNORMAL": Status.FAILED,
    "REVOKED": Status.SUCCEEDED,  # 交易状态, where a payment was taken back and 退款状态 is empty
}


def rows(lines: Lines, seen: Examination) -> Iterator[Row]:
    """The rows of a trade bill; its footer is checked behind the last."""
    names = COLUMNS.of(next(lines).split(","), lines)
    if set(_REFUND_COLUMNS) & set(names):
        missing = [name for name in _REFUND_COLUMNS if name not in names]
        if missing:
            raise Unreadable("column_missing", missing[0])
        seen.variant = "REFUND" if "退款申请时间" in names else "ALL"
    else:
        seen.variant = "SUCCESS"
    sums = dict.fromkeys(TOTALS.values(), 0)

    def take(raw: dict[str, str], line: int) -> Row:
        amounts = {column: _amount(raw, column) for column in sums if column and raw.get(column)}
        row = seen.take(_row(raw, line, amounts, lines, seen))
        sums[None] += 1
        for column, amount in amounts.items():
            sums[column] += amount
        return row

    footer = yield from sheet(lines, seen, names, take, TOTALS)
    check(lines, seen, footer, {total: sums[column] for total, column in TOTALS.items()})


def _row(raw: dict[str, str], line: int, amounts: Mapping[str, int], lines: Lines, seen: Examination) -> Row:
    state = raw["交易状态"]
    if state not in ("SUCCESS", "REFUND", "REVOKED"):
        raise Wrong("unknown_status", "交易状态", found=state)
    is_refund = state != "SUCCESS"
    amount, gross, fee = _money(raw, amounts, is_refund)
    order = must_be_a_number(raw, "微信订单号")
    refund = number_of(raw, "微信退款单号") if is_refund else ""
    if state == "REFUND" and not refund:
        raise Wrong("missing", "微信退款单号")
    status = raw["退款状态"] or state if is_refund else state
    return Row(
        key=key_of(BillKind.WECHAT_TRADE, "refund" if is_refund else "payment", refund or order),
        part=lines.part.name,
        line=line,
        channel=CHANNEL,
        merchant=seen.whose(number_of(raw, "特约商户号") or raw["商户号"], "商户号"),
        kind=RowKind.REFUND if is_refund else RowKind.PAYMENT,
        order_ref=must_be_a_number(raw, "商户订单号"),
        refund_ref=number_of(raw, "商户退款单号") if is_refund else "",
        channel_order_ref=order,
        channel_ref=refund or order,
        amount_fen=-amount if is_refund else amount,
        gross_fen=-gross if is_refund else gross,
        fee_fen=fee,
        currency=seen.in_currency(raw["货币种类"], "货币种类"),
        channel_status=status,
        status=_refund_status(status) if is_refund else Status.SUCCEEDED,
        occurred_at=moment_of(*_time(raw, is_refund)),
        raw=raw,
    )


def _money(raw: Mapping[str, str], amounts: Mapping[str, int], is_refund: bool) -> tuple[int, int, int]:
    """What was paid or paid back, what that was before coupons, and the fee; raises `Wrong`."""
    column, gross_column = ("退款金额", "申请退款金额") if is_refund else ("应结订单金额", "订单金额")
    for needed in (column, "手续费"):
        if needed not in amounts:
            raise Wrong("missing" if needed in raw else "column_missing", needed)
    amount, fee = amounts[column], amounts["手续费"]
    gross = amounts.get(gross_column, amount)
    for name, fen in ((column, amount), (gross_column, gross)):
        if fen < 0:
            raise Wrong("amount_sign", name, found=raw[name])
    if not is_refund and amounts.get("退款金额"):
        raise Wrong("payment_with_refund", "退款金额", found=raw["退款金额"])
    if fee > 0 if is_refund else fee < 0:
        raise Wrong("fee_sign", "手续费", found=raw["手续费"])
    return amount, gross, fee


def _refund_status(status: str) -> Status:
    try:
        return _REFUND_STATUS[status]
    except KeyError:
        raise Wrong("unknown_status", "退款状态", found=status) from None


def _time(raw: Mapping[str, str], is_refund: bool) -> tuple[str, str]:
    """When it happened, and by which column: the refund bill has the time of the payment in 交易时间."""
    column = "退款申请时间" if is_refund and raw.get("退款申请时间") else "交易时间"
    return raw[column], column


def _amount(raw: Mapping[str, str], column: str) -> int:
    return fen_of(raw[column], column, decimals=FEE_DECIMALS if column == "手续费" else YUAN_DECIMALS)
